//! The commands as `docs/commands.md` shows them: run for real, against an AWS on this machine, and compared.
//!
//! Where the output has changed on purpose: `UPDATE=1 cargo test -p handoff --test commands`.

mod browser;
mod document;
mod scenes;
