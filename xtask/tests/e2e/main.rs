//! End-to-end tests: the built program with real Nix, git, npm and Go. One program, so that it is
//! linked once.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a panic is how a test fails; it starts processes as a user does, and says what it left out"
)]

mod arguments;
mod clients;
mod common;
mod completions;
mod daemon;
mod harness;
mod hash;
mod host_pkgs;
mod setup;
mod sources;
mod test_build;
