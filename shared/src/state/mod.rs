//! The table: what has to survive between two looks, and what two invocations have to agree on.
//!
//! Messages say "look now"; the table says what is so. An item stands under two keys, `of` (what it belongs to, for example
//! a group) and `what` (which one). Its body is JSON, so that a person can read it in the console. Each write carries a
//! version, and a write that expects another version than the one that is there changes nothing. Reads are consistent.
//!
//! The first action of an interruption neither waits for the table nor fails without it. Who calls a function of this
//! module decides what is so when the table does not answer.
//!
//! Each kind of item has a file of its own beside this one.

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
