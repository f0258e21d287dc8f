//! Builds of tiny derivations with real Nix; no network.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a panic is how a test fails; it starts processes as a user does"
)]

mod bad_input;
mod build_tools;
mod containers;
mod daemon;
mod evaluation;
mod live;
mod logins;
mod picture;
mod pins;
mod test_build;
mod update_elsewhere;
mod update_faults;
mod update_moves;
mod update_nixpkgs;
mod ways_in;
