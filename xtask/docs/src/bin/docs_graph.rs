//! `docs-graph`: the picture of a vault alone, for any vault.

use std::process::ExitCode;

use docs::{alone, picture};

fn main() -> ExitCode {
    alone::run("docs-graph", |args, place| picture::run(args, &place.root))
}
