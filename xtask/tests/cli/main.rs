//! The commands that need neither Nix nor the network: cards, hashes, arguments, completions.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a panic is how a test fails; it starts processes as a user does"
)]

mod arguments;
mod completions;
mod docs_check;
mod docs_faults;
mod docs_move;
mod hash;
mod mac_folder;
mod patch_version;
mod setup;
mod strip_refs;
