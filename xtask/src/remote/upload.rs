//! A part of a folder that travels to another machine in one piece.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use sys::process::Processes;
use sys::scratch::Scratch;

/// Folders that no component is built from, wherever they are.
const NEVER: [&str; 5] = [".git", ".venv", ".wireit", "__pycache__", "node_modules"];

/// A folder, or a part of one, that travels in one piece.
#[derive(Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its folder there, below the run's.
    pub to: &'static str,
    /// Its folder here.
    pub from: Utf8PathBuf,
    /// What of it travels.
    pub names: Vec<String>,
    /// What below these does not.
    pub without: Vec<String>,
}

impl Upload {
    /// An upload with all that a folder holds.
    pub fn of_folder(to: &'static str, from: &Utf8Path) -> Self {
        Self {
            to,
            from: from.to_owned(),
            names: vec![".".to_owned()],
            without: Vec::new(),
        }
    }

    /// Takes in what another upload has of a folder below this one's.
    pub fn take_in(&mut self, other: &Self) {
        let below = other.from.strip_prefix(&self.from).unwrap_or(&other.from);
        let names = other.names.iter();
        for name in names.map(|name| below.join(name).into_string()) {
            if !self.names.contains(&name) {
                self.names.push(name);
            }
        }
    }

    /// The upload as a compressed tar file.
    pub fn pack(&self, processes: &Processes) -> Result<Vec<u8>> {
        let scratch = Scratch::new()?;
        let file = scratch.path().join("packed");
        let without = NEVER.iter().copied();
        let without = without.chain(self.without.iter().map(String::as_str));
        let command = processes
            .cmd("tar")
            // or macOS adds files of its own
            .env("COPYFILE_DISABLE", "1")
            .args(["-czf", file.as_str(), "-C", self.from.as_str()])
            .args(without.map(|pattern| format!("--exclude={pattern}")))
            .arg("--")
            .args(&self.names);
        processes.capture(command)?.success()?;
        Ok(fs_err::read(&file)?)
    }
}
