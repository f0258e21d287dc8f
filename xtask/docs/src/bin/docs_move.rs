//! `docs-move`: moves alone, for any vault.

use std::process::ExitCode;

use docs::{alone, moves};

fn main() -> ExitCode {
    alone::run("docs-move", |args, place| {
        moves::run(args, &place.root, place.state()?)
    })
}
