//! The sub-commands, a file each: arguments and entry. No command needs another.

pub mod run;
