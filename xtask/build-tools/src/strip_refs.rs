//! Finds the references to a Nix store in trees of files, and neutralises them.
//!
//! A fixed output may hold no reference. The usual pipeline greps for store paths and then runs sed
//! over every file for each of them; this does it in one pass.

pub mod scan;

use std::ffi::OsString;
use std::process::ExitCode;

/// The command `build-tools strip-refs`, with the arguments after its name.
pub fn cli(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    anyhow::bail!("unknown arguments {arguments:?}")
}
