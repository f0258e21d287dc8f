//! End-to-end tests: the built program with real Nix, git, npm and Go. One program, so that it is
//! linked once.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a panic is how a test fails; it starts processes as a user does, and says what it left out"
)]

mod arguments;
mod bad_input;
mod build_tools;
mod caddy;
mod clients;
mod common;
mod completions;
mod containers;
mod daemon;
mod deploy;
mod docs_check;
mod docs_faults;
mod docs_move;
mod evaluation;
mod far;
mod go_proxy;
mod go_server;
mod harness;
mod hash;
mod hook;
mod host_pkgs;
mod image;
mod image_contents;
mod job_sets;
mod live;
mod patch_version;
mod picture;
mod pins;
mod python;
mod remote;
mod run;
mod run_browser;
mod setup;
mod signs_in;
mod sources;
mod strip_refs;
mod terminal;
mod test_build;
mod update;
mod vendor_hash;
mod webui;
mod workflow;
