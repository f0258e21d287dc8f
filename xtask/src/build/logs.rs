//! The log files: one for each derivation, whole and as the builder printed it.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write as _};
use std::time::Duration;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use nix_formats::store_path::{name_of, short_hash};

/// The log files: one for each derivation, whole and as the builder printed it.
pub struct Logs {
    folder: Utf8PathBuf,
    open: BTreeMap<String, BufWriter<fs_err::File>>,
}

/// How long a log is kept that no run writes again.
const KEPT: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Removes the logs of long ago.
fn forget_old(folder: &Utf8Path) -> Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let changed = metadata.modified()?;
        // A clock that went backwards makes nothing old.
        if metadata.is_file() && changed.elapsed().is_ok_and(|age| age > KEPT) {
            fs_err::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The file of a derivation's log.
pub fn log_path(folder: &Utf8Path, drv: &str) -> Utf8PathBuf {
    folder.join(format!("{}-{}.log", name_of(drv), short_hash(drv)))
}

impl Logs {
    /// Logs below `folder`, which is made.
    pub fn new(folder: Utf8PathBuf) -> Result<Self> {
        fs_err::create_dir_all(&folder)?;
        forget_old(&folder)?;
        Ok(Self {
            folder,
            open: BTreeMap::new(),
        })
    }

    /// Begins a derivation's log again.
    pub fn start(&mut self, drv: &str) -> Result<()> {
        let file = fs_err::File::create(log_path(&self.folder, drv))?;
        self.open.insert(drv.to_owned(), BufWriter::new(file));
        Ok(())
    }

    /// Adds a line.
    pub fn line(&mut self, drv: &str, line: &str) -> Result<()> {
        if let Some(file) = self.open.get_mut(drv) {
            file.write_all(line.as_bytes())?;
            file.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Writes what waits: someone may be following the files.
    pub fn flush(&mut self) -> Result<()> {
        for file in self.open.values_mut() {
            file.flush()?;
        }
        Ok(())
    }

    /// Ends a derivation's log.
    pub fn end(&mut self, drv: &str) -> Result<()> {
        match self.open.remove(drv) {
            Some(mut file) => Ok(file.flush()?),
            None => Ok(()),
        }
    }
}
