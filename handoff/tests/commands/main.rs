//! The commands as shown in `docs/commands.md` and `README.md`: run against an AWS on this machine, and compared.
//!
//! If the output has changed on purpose: `UPDATE=1 cargo test -p handoff --test commands`.

mod browser;
mod document;
mod readme;
mod runbook;
mod scenes;
