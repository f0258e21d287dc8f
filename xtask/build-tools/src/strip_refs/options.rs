//! What strip-refs is to do: the options, however they were read.

use std::ffi::OsString;

/// What to do.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub struct Options {
    /// Files and folders.
    pub paths: Vec<OsString>,
    /// The store's folder, such as `/nix/store`.
    pub store_dir: String,
    /// Store paths whose references stay, as path, `HASH-name` or hash.
    pub keep: Vec<String>,
    /// Store paths whose lone hashes are references too.
    pub also: Vec<String>,
    /// Whether links into the store are rewritten.
    pub links: bool,
    /// Whether the paths are Python venvs, to be made relocatable.
    pub venv: bool,
    /// Whether to change nothing, and say what would be changed.
    pub dry_run: bool,
    /// Whether to change nothing, and say what is left.
    pub check: bool,
    /// Whether references are listed as JSON lines.
    pub json: bool,
    /// How many threads work; without it, as many as there are processors.
    pub jobs: Option<usize>,
}
