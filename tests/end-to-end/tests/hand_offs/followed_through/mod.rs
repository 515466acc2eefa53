//! What happens to a group after an interruption: replace-capacity watches it until it is whole, and On-Demand fills
//! it if Spot has no capacity.

mod fallback;
mod watching;
