//! What an update learned, kept until it is done: a run that was ended goes on from there.
//!
//! Only true hashes are in it, and it is replaced in one piece; a run that is killed leaves it as it was.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use nix_formats::json;
use sys::files;

/// The journal of an update.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// The pins file that is to be changed.
    pub pins: Utf8PathBuf,
    /// The hash of that file when it began.
    pub pins_hash: String,
    /// The version that is moved to.
    pub to: String,
    /// The commit of its tag; empty where no release is moved to.
    pub commit: String,
    /// The hashes that Nix proved, by the names that lead to them, with `/` between.
    pub hashes: BTreeMap<String, Proven>,
    /// Whether it is written: something can go on with it.
    #[serde(skip)]
    pub is_kept: bool,
}

/// A hash that Nix proved.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proven {
    /// The SRI hash.
    pub hash: String,
    /// The derivation that showed it, of which the hash was a fake one: that of another is another.
    pub drv: String,
}

/// Held by the one update of a container that runs.
#[derive(Debug)]
pub struct Lock {
    _file: fs_err::File,
}

impl Lock {
    /// Takes the lock; an error says who has it.
    pub fn take(folder: &Utf8Path, what: &str) -> Result<Self> {
        fs_err::create_dir_all(folder)?;
        let path = folder.join("lock");
        let Some(mut file) = files::try_lock(&path)? else {
            let mut holder = String::new();
            fs_err::File::open(&path)?
                .take(100)
                .read_to_string(&mut holder)?;
            bail!(
                "an update of {what} runs already, process {}: wait for its end, or end it",
                holder.trim()
            );
        };
        file.set_len(0)?;
        file.write_all(std::process::id().to_string().as_bytes())?;
        Ok(Self { _file: file })
    }
}

impl Journal {
    fn path(folder: &Utf8Path) -> Utf8PathBuf {
        folder.join("journal.json")
    }

    /// The journal that was left, if one was.
    pub fn read(folder: &Utf8Path) -> Result<Option<Self>> {
        let path = Self::path(folder);
        match fs_err::read_to_string(&path) {
            Ok(text) => {
                let mut journal: Self = json::from_json(&text, &path)?;
                journal.is_kept = true;
                Ok(Some(journal))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// That of an update that was ended before its end; an error if there is none.
    pub fn left(folder: &Utf8Path) -> Result<Self> {
        let left = Self::read(folder)?;
        left.context("there is nothing to resume: no update was ended before its end")
    }

    /// Where it moves to; an error if `to` names something else.
    pub fn goes_to(self, to: Option<&str>) -> Result<String> {
        if let Some(to) = to.filter(|to| *to != self.to) {
            bail!(
                "what there is to resume moves to {}, not to {to}: begin anew, without `--resume`",
                self.to
            );
        }
        Ok(self.to)
    }

    /// Writes it in one piece, if it is kept.
    pub fn write(&self, folder: &Utf8Path) -> Result<()> {
        if !self.is_kept {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(self).context("writing the journal")?;
        files::write_atomically(&Self::path(folder), text.as_bytes(), 0o644)
    }

    /// Removes it: the update is done.
    pub fn remove(folder: &Utf8Path) -> Result<()> {
        match fs_err::remove_file(Self::path(folder)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}
