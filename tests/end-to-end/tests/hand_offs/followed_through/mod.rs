//! What becomes of a group after an interruption: it is followed through until it is whole, and On-Demand fills it where
//! Spot is dry.

mod fallback;
mod watching;
