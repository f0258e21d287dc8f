//! The built programs, in vaults of their own.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a panic is how a test fails; it starts processes as a user does"
)]

mod anywhere;
mod common;
mod hostile;
mod moves;
mod picture;
mod presets;
mod questions;
mod transaction;
