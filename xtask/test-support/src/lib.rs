//! What the end-to-end tests of all groups share: the built program, repositories of tiny derivations, another
//! machine, a terminal.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "a panic is how a test fails; it starts processes as a user does, and says what it left out"
)]

pub mod common;
pub mod far;
pub mod harness;
pub mod live;
pub mod mac;
pub mod spy;
pub mod terminal;
pub mod upstream;
