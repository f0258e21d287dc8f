//! Writes a vault of made-up cards, to measure and to test with.
//!
//! `cargo run -p vault --example make-vault -- DIR CARDS [SEED] [--faults]`; with `--faults` the places and
//! codes of all faults are printed.
#![expect(
    clippy::print_stdout,
    reason = "a program for developers, without the writers of xtask"
)]

mod made;

use std::io::Write as _;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;

fn main() -> Result<()> {
    let (flags, words): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|word| word.starts_with("--"));
    let [folder, cards, seed @ ..] = &words[..] else {
        anyhow::bail!("name the folder, and how many cards it is to have");
    };
    let cards = cards.parse().context("the number of cards")?;
    let seed = seed.first().map_or(Ok(7), |seed| seed.parse());
    let made = made::make(cards, seed.context("the seed")?, !flags.is_empty());
    let folder = Utf8PathBuf::from(folder);
    for (path, bytes) in &made.files {
        let path = folder.join(path);
        fs_err::create_dir_all(path.parent().unwrap_or(&folder))?;
        fs_err::File::create(path)?.write_all(bytes)?;
    }
    for (path, line, column, code) in &made.faults {
        println!("{path}:{line}:{column}: {code}");
    }
    Ok(())
}
