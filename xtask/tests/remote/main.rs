//! Builds on another machine: a real sshd on loopback, real Nix.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a panic is how a test fails; it starts processes as a user does"
)]

mod hostile;
mod mac;
mod remote;
mod setup_on;
mod update_on;
