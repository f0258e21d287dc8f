//! A folder of a run's own for what its processes put into TMPDIR.
//!
//! Nix removes its build folders, but not when it is killed. What is in here goes with the run, and what
//! a run that was killed itself left behind goes with the next one.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

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
    /// Makes a folder in TMPDIR that is this user's alone, and removes those of runs that are no more.
    pub fn new() -> Result<Self> {
        Self::in_tmpdir(0o700)
    }

    /// The same, open to the users that build, closed to their looking around.
    pub fn for_builders() -> Result<Self> {
        Self::in_tmpdir(0o711)
    }

    fn in_tmpdir(mode: u32) -> Result<Self> {
        let parent = Utf8PathBuf::from_path_buf(std::env::temp_dir())
            .map_err(|path| anyhow::anyhow!("TMPDIR `{}` is not UTF-8", path.display()))?;
        // Paths in it are compared with those that programs resolved, and on macOS it lies behind a link.
        let parent = parent
            .canonicalize_utf8()
            .context("making a folder for the build: TMPDIR says where")?;
        remove_orphans(&parent);
        Self::below(&parent, std::process::id(), mode)
    }

    fn below(parent: &Utf8Path, number: u32, mode: u32) -> Result<Self> {
        // Processes elsewhere (in containers) may have the same number and the same TMPDIR.
        let free = |n: u32| {
            let path = parent.join(format!("{PREFIX}{number}-{n}"));
            match rustix::fs::mkdir(path.as_std_path(), Mode::RWXU) {
                Err(Errno::EXIST) => None,
                Err(error) => Some(Err(error)),
                Ok(()) => Some(Ok(path)),
            }
        };
        let path = (0..100)
            .find_map(free)
            .context("each name that a folder for the build could have is taken in TMPDIR")?
            .context("making a folder for the build: TMPDIR says where")?;
        files::set_mode(&path, mode)?;
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

/// The lock in a folder of this user's. What others put there is passed over: a FIFO or a link, say.
fn lock_of(folder: &Utf8Path) -> Option<OwnedFd> {
    let own = rustix::process::geteuid().as_raw();
    let metadata = fs_err::symlink_metadata(folder).ok()?;
    if !metadata.is_dir() || metadata.uid() != own {
        return None;
    }
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let lock = rustix::fs::open(folder.join(LOCK).as_std_path(), flags, Mode::empty()).ok()?;
    let found = rustix::fs::fstat(&lock).ok()?;
    FileType::from_raw_mode(found.st_mode)
        .is_file()
        .then_some(lock)
}

/// Whether a lock is still that of the folder: its run may have removed it, and another folder have the name.
fn is_in(lock: &OwnedFd, folder: &Utf8Path) -> bool {
    let there = rustix::fs::lstat(folder.join(LOCK).as_std_path());
    let (Ok(held), Ok(there)) = (rustix::fs::fstat(lock), there) else {
        return false;
    };
    (held.st_dev, held.st_ino) == (there.st_dev, there.st_ino)
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
        if let Some(lock) = lock_of(entry.path())
            && flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
            && is_in(&lock, entry.path())
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
        let living = Scratch::below(parent, 1, 0o711).unwrap();
        // A run that was killed: its folder is there, nobody holds the lock.
        let dead_path = parent.join(format!("{PREFIX}2"));
        fs_err::create_dir_all(dead_path.join("nix-build-x/a")).unwrap();
        fs_err::File::create(dead_path.join(LOCK)).unwrap();
        // A FIFO in the lock's place holds nobody up, and a link leads nowhere.
        for name in ["3", "4"] {
            fs_err::create_dir(parent.join(format!("{PREFIX}{name}"))).unwrap();
        }
        let place = |name: &str| parent.join(format!("{PREFIX}{name}")).join(LOCK);
        let processes = crate::process::Processes::new(false).unwrap();
        let made = processes.capture(processes.cmd("mkfifo").arg(place("3")));
        made.unwrap().success().unwrap();
        fs_err::os::unix::fs::symlink("/dev/zero", place("4")).unwrap();
        remove_orphans(parent);
        assert!(parent.join(format!("{PREFIX}3")).exists());
        assert!(parent.join(format!("{PREFIX}4")).exists());
        assert!(living.path().is_dir() && !dead_path.exists());
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists());
    }

    /// Who cleans up takes no folder that another run is just making.
    #[test]
    fn what_is_being_made_stays() {
        let folder = tempfile::tempdir().unwrap();
        let parent = Utf8Path::from_path(folder.path()).unwrap();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    remove_orphans(parent);
                }
            });
            let made = |_| Scratch::below(parent, 1, 0o700).is_ok_and(|it| it.path().is_dir());
            let all = (0..2000).all(made);
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(all);
        });
    }
}
