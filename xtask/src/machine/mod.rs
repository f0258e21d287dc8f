//! This machine: what it has, and what it needs for the commands.

pub mod hooks;
