//! The table: what has to survive between two looks, and what two invocations have to agree on.
//!
//! Messages only say "look now"; the facts are in the table. An item has two keys: `of` (what it belongs to, for
//! example a group) and `what` (which one). Its body is JSON, so that a person can read it in the console. Each write
//! carries a version. If the table has another version than the write expects, the write changes nothing. Reads are
//! consistent.
//!
//! The first action of an interruption neither waits for the table nor fails without it. If the table does not answer,
//! the caller of this module decides what to assume.
//!
//! Each kind of item has its own file in this module.

pub mod announcements;
pub mod claims;
pub mod ends;
pub mod group_watch;
pub mod hand_offs;
pub mod reruns;
pub mod restarts;
pub mod searches;
pub mod stop_scripts;
mod table;
pub mod taken;
pub mod under_notice;

pub use table::{Expected, Item, Key, Table, Versioned, Written};
