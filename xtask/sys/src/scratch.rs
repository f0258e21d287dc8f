//! A folder of a run's own for what its processes put into TMPDIR.
//!
//! Nix removes its build folders, but not when it is killed. What is in here goes with the run, and what
//! a run that was killed itself left behind goes with the next one.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FlockOperation, flock};

use crate::files;

/// What the folders' names begin with.
const PREFIX: &str = "xtask-build-";
/// A file in each that is locked as long as its run lives.
const LOCK: &str = "lock";

/// The folder; it is removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: Utf8PathBuf,
    _lock: fs_err::File,
}

impl Scratch {
    /// Makes a folder in TMPDIR, and removes those of runs that are no more.
    pub fn new() -> Result<Self> {
        let parent = Utf8PathBuf::from_path_buf(std::env::temp_dir())
            .map_err(|path| anyhow::anyhow!("TMPDIR `{}` is not UTF-8", path.display()))?;
        remove_orphans(&parent);
        Self::below(&parent, std::process::id())
    }

    fn below(parent: &Utf8Path, number: u32) -> Result<Self> {
        // Processes elsewhere (in containers) may have the same number and the same TMPDIR.
        let free = |n: u32| {
            let path = parent.join(format!("{PREFIX}{number}-{n}"));
            match fs_err::create_dir(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => None,
                made => Some(made.map(|()| path)),
            }
        };
        let path = (0..100)
            .find_map(free)
            .context("each name that a folder for the build could have is taken in TMPDIR")?
            .context("making a folder for the build: TMPDIR says where")?;
        // Open to the users that build, closed to their looking around.
        files::set_mode(&path, 0o711)?;
        // It has its name once it is locked: one that nobody holds is that of a run that is no more.
        let new = path.join("lock.new");
        let lock = files::lock(&new)?;
        fs_err::rename(new, path.join(LOCK))?;
        Ok(Self { path, _lock: lock })
    }

    /// Whether something in here has a name that begins so.
    pub fn has(&self, beginning: &str) -> bool {
        let entries = self.path.read_dir_utf8();
        entries.is_ok_and(|mut entries| {
            entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().starts_with(beginning)))
        })
    }

    /// Its path.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes a folder, as far as it can be; processes that were just killed may still add to it.
fn remove(path: &Utf8Path) {
    for _ in 0..5 {
        match fs_err::remove_dir_all(path) {
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            _ => return,
        }
    }
}

/// Removes the folders whose runs are no more: nobody holds their lock.
fn remove_orphans(parent: &Utf8Path) {
    let Ok(entries) = parent.read_dir_utf8() else {
        return;
    };
    for entry in entries.flatten() {
        if !entry.file_name().starts_with(PREFIX) {
            continue;
        }
        let lock = fs_err::OpenOptions::new()
            .write(true)
            .open(entry.path().join(LOCK));
        if let Ok(lock) = lock
            && flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
        {
            remove(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_left_behind_goes_what_runs_use_stays() {
        let folder = tempfile::tempdir().unwrap();
        let parent = Utf8Path::from_path(folder.path()).unwrap();
        let living = Scratch::below(parent, 1).unwrap();
        // A run that was killed: its folder is there, nobody holds the lock.
        let dead_path = parent.join(format!("{PREFIX}2"));
        fs_err::create_dir_all(dead_path.join("nix-build-x/a")).unwrap();
        fs_err::File::create(dead_path.join(LOCK)).unwrap();
        remove_orphans(parent);
        assert!(living.path().is_dir() && !dead_path.exists());
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists());
    }
}
