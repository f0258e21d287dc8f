//! `docs-check`: the checker alone, for any vault.

use std::process::ExitCode;

use docs::{alone, check};

fn main() -> ExitCode {
    alone::run("docs-check", |args, place| {
        check::run(args, &place.root, place.state.as_deref(), None)
    })
}
