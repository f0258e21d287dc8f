//! `docs-list`: questions about a vault alone, for any vault.

use std::process::ExitCode;

use docs::{alone, list};

fn main() -> ExitCode {
    alone::run("docs-list", |args, place| list::run(args, &place.root))
}
