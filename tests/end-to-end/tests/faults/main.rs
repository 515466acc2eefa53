//! What goes wrong with the calls to AWS, and what must come of it: every fault of every action that the functions use and
//! every permission taken away.

mod faults;
mod finish;
mod matrix;
mod permissions;
mod recording;
mod scenarios;
mod several;
