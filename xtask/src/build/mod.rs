//! Building components: a run of `test-build`, step by step, and what is shown and reported of it.
//!
//! `session` is the way of a whole build. May use package sets, pins, Nix, other machines and the
//! repository; no command, and no other room of this floor.

pub mod conclude;
pub mod config;
pub mod culprits;
pub mod display;
pub mod evaluate;
pub mod execute;
pub mod history;
pub mod junit;
pub mod logs;
pub mod model;
pub mod on_host;
pub mod options;
pub mod plan;
pub mod report;
pub mod screen;
pub mod selection;
pub mod session;
pub mod site;
pub mod uploads;
