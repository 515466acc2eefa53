//! The commands as `docs/commands.md` and `README.md` show them: run for real, against an AWS on this machine, and compared.
//!
//! Where the output has changed on purpose: `UPDATE=1 cargo test -p handoff --test commands`.

mod browser;
mod document;
mod readme;
mod runbook;
mod scenes;
