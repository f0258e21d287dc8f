//! Replaces files by others of the same length, each in one piece.
//!
//! A file is copied beside itself, the copy gets the file's mode, owner, times and extended attributes,
//! and then its name. So a run that is killed, or a full disk, leaves the old file or the new one. Names
//! in the tree that share a file share the new one too; names elsewhere keep the old one.

use std::cell::RefCell;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::{
    Access, AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::journal;
use super::paths::{self, Id, Place, Root};
use super::read::{self, Archive};
use super::scan::{Chooser, Hashes, NEUTRAL, Window};
use super::tree::WINDOW;
use crate::platform;

/// What is said of a file that is not what it was when it was searched.
const CHANGED: &str =
    "it changed while it was stripped: run the command again when nothing writes there";

/// What the files are rewritten with.
#[derive(Clone, Copy, Debug)]
pub struct Rewriter<'a> {
    /// The open paths.
    pub roots: &'a [Root],
    /// The store's folder.
    pub store: &'a [u8],
    /// The hashes to neutralise.
    pub known: &'a Hashes,
    /// All hashes that were seen, those to keep included.
    pub seen: &'a Hashes,
}

/// A file by the names that it has in the tree.
#[derive(Debug)]
pub struct Group {
    /// Device and inode when it was searched.
    pub id: Id,
    /// Its names.
    pub places: Vec<Place>,
}

static NUMBER: AtomicUsize = AtomicUsize::new(1);

impl Rewriter<'_> {
    /// Rewrites files, with so many threads. The answer is what went wrong, sorted.
    pub fn files(&self, groups: &[Group], jobs: usize) -> Vec<String> {
        let next = AtomicUsize::new(0);
        let errors = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..jobs.min(groups.len()) {
                scope.spawn(|| {
                    let mut window = Window::new(self.store, WINDOW);
                    while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Err(error) = self.file(group, &mut window) {
                            let message = explain(self.roots, &group.places[0], &error);
                            errors
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .push(message);
                        }
                    }
                });
            }
        });
        let mut errors = errors.into_inner().unwrap_or_else(PoisonError::into_inner);
        errors.sort();
        errors
    }

    fn file(&self, group: &Group, window: &mut Window) -> Result<()> {
        replace(
            self.roots,
            &group.places,
            Some(group.id),
            &mut |old, new| self.copy(old, new, group.places[0].split().1, window),
        )
    }

    /// Copies a file, and neutralises the copy.
    fn copy(
        &self,
        old: BorrowedFd<'_>,
        new: BorrowedFd<'_>,
        name: &[u8],
        window: &mut Window,
    ) -> Result<()> {
        let archive = RefCell::new(Archive::None);
        let failed = RefCell::new(Ok(()));
        let mut chooser = Chooser::default();
        let mut patch = |offset| {
            let patched = journal::write_all(new, &NEUTRAL, offset);
            if failed.borrow().is_ok() {
                *failed.borrow_mut() = patched;
            }
        };
        let mut unknown = false;
        let length = read::data(
            old,
            window,
            0,
            &mut |row| {
                if archive.borrow().stores(row.offset) {
                } else if self.known.contains(row.hash) {
                    chooser.push(row.offset, row.hash, &mut patch);
                } else {
                    unknown |= row.name.is_some() && !self.seen.contains(row.hash);
                }
            },
            &mut |offset, bytes| {
                if offset == 0 {
                    let mut found = Archive::of(old, name, bytes).unwrap_or(Archive::None);
                    if let Archive::Gzip { stored } = &mut found {
                        // If it is damaged, that was said when it was searched.
                        let mut other = Window::new(self.store, WINDOW);
                        let _ = read::gzip(old, &mut other, stored, &mut |_| {});
                    }
                    *archive.borrow_mut() = found;
                }
                journal::write_all(new, bytes, offset)
            },
        )?;
        chooser.end(&mut patch);
        failed.into_inner()?;
        ensure!(!unknown, "{CHANGED}");
        // There may be a hole at the end.
        rustix::fs::ftruncate(new, length)?;
        Ok(())
    }

    /// Neutralises the target of a link.
    pub fn link(&self, place: &Place, old: &[u8], new: &[u8]) -> Result<()> {
        let folder = place.open_folder(self.roots)?;
        let name = place.split().1;
        let now = rustix::fs::readlinkat(&folder, name, Vec::new())?;
        ensure!(now.to_bytes() == old, "{CHANGED}");
        let stat = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let temporary = next_temporary();
        rustix::fs::symlinkat(new, &folder, temporary.as_slice())?;
        let finish = || -> Result<()> {
            let made =
                rustix::fs::statat(&folder, temporary.as_slice(), AtFlags::SYMLINK_NOFOLLOW)?;
            if (made.st_uid, made.st_gid) != (stat.st_uid, stat.st_gid) {
                let (uid, gid) = owner(&stat);
                rustix::fs::chownat(
                    &folder,
                    temporary.as_slice(),
                    uid,
                    gid,
                    AtFlags::SYMLINK_NOFOLLOW,
                )
                .context("its owner can't be kept")?;
            }
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::utimensat(&folder, temporary.as_slice(), &times(&stat), flags)?;
            Ok(rustix::fs::renameat(
                &folder,
                temporary.as_slice(),
                &folder,
                name,
            )?)
        };
        finish().inspect_err(|_| {
            let _ = rustix::fs::unlinkat(&folder, temporary.as_slice(), AtFlags::empty());
        })
    }
}

/// An error that names the path.
pub fn explain(roots: &[Root], place: &Place, error: &anyhow::Error) -> String {
    format!(
        "`{}`: {error:#}",
        String::from_utf8_lossy(&place.show(roots))
    )
}

fn next_temporary() -> Vec<u8> {
    journal::temporary(NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn owner(stat: &Stat) -> (Option<Uid>, Option<Gid>) {
    (
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
    )
}

fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: platform::accessed(stat),
        last_modification: platform::modified(stat),
    }
}

/// What changes when somebody writes to a file.
fn state(stat: &Stat) -> (Id, i64, Timespec, Timespec) {
    (
        paths::id_of(stat),
        stat.st_size,
        platform::modified(stat),
        platform::changed(stat),
    )
}

/// Replaces a file under all these names by one that `fill` writes: called with the old file and the
/// new one.
pub fn replace(
    roots: &[Root],
    places: &[Place],
    id: Option<Id>,
    fill: &mut dyn FnMut(BorrowedFd<'_>, BorrowedFd<'_>) -> Result<()>,
) -> Result<()> {
    let mut names = Vec::new();
    for place in places {
        names.push((place.open_folder(roots)?, place.split().1, next_temporary()));
    }
    let outcome = replace_names(&names, id, fill);
    if outcome.is_err() {
        for (folder, _, temporary) in &names {
            let _ = rustix::fs::unlinkat(folder, temporary.as_slice(), AtFlags::empty());
        }
    }
    outcome
}

fn replace_names(
    names: &[(OwnedFd, &[u8], Vec<u8>)],
    id: Option<Id>,
    fill: &mut dyn FnMut(BorrowedFd<'_>, BorrowedFd<'_>) -> Result<()>,
) -> Result<()> {
    let Some((first, others)) = names.split_first() else {
        return Ok(());
    };
    let (folder, name, temporary) = first;
    let old = match paths::open_file(folder.as_fd(), *name) {
        Err(error) if error.downcast_ref() == Some(&Errno::NOENT) => bail!("{CHANGED}"),
        opened => opened?,
    };
    let before = rustix::fs::fstat(&old)?;
    ensure!(id.is_none_or(|id| id == paths::id_of(&before)), "{CHANGED}");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let new = rustix::fs::openat(folder, temporary.as_slice(), flags, Mode::RUSR | Mode::WUSR)
        .context("making a file beside it")?;
    fill(old.as_fd(), new.as_fd())?;
    ensure!(
        state(&rustix::fs::fstat(&old)?) == state(&before),
        "{CHANGED}"
    );
    keep_attributes(old.as_fd(), new.as_fd(), &before)?;
    for (other, _, link) in others {
        rustix::fs::linkat(
            folder,
            temporary.as_slice(),
            other,
            link.as_slice(),
            AtFlags::empty(),
        )?;
    }
    for (folder, name, temporary) in names {
        let now = rustix::fs::statat(folder, *name, AtFlags::SYMLINK_NOFOLLOW);
        // Of a file with several names, the first renaming changes the time of the others.
        ensure!(
            now.is_ok_and(|now| paths::id_of(&now) == paths::id_of(&before)),
            "{CHANGED}"
        );
        rustix::fs::renameat(folder, temporary.as_slice(), folder, *name)?;
    }
    Ok(())
}

/// Gives a new file the owner, mode, extended attributes and times of the old one.
fn keep_attributes(old: BorrowedFd<'_>, new: BorrowedFd<'_>, stat: &Stat) -> Result<()> {
    let made = rustix::fs::fstat(new)?;
    if (made.st_uid, made.st_gid) != (stat.st_uid, stat.st_gid) {
        let (uid, gid) = owner(stat);
        rustix::fs::fchown(new, uid, gid).context("its owner can't be kept")?;
    }
    copy_xattrs(old, new).context("its extended attributes can't be kept")?;
    // Last, as changing the owner clears bits of the mode, and writing changes the times.
    rustix::fs::fchmod(new, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    rustix::fs::futimens(new, &times(stat))?;
    Ok(())
}

/// Copies the extended attributes but those that may not be set, such as `com.apple.provenance` on macOS and the
/// system's own for all but root. Some file systems have none.
fn copy_xattrs(old: BorrowedFd<'_>, new: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let listed = || {
        let mut names = vec![0_u8; rustix::fs::flistxattr_query(old)?];
        let length = rustix::fs::flistxattr(old, &mut names)?;
        names.truncate(length);
        Ok(names)
    };
    let names = match listed() {
        Err(error) if is_withheld(error) => return Ok(()),
        names => names?,
    };
    let copy = |name: &[u8]| {
        let mut value = vec![0_u8; rustix::fs::fgetxattr_query(old, name)?];
        let length = rustix::fs::fgetxattr(old, name, &mut value)?;
        rustix::fs::fsetxattr(new, name, &value[..length], XattrFlags::empty())
    };
    let names = names.split(|byte| *byte == 0);
    names
        .filter(|name| !name.is_empty())
        .try_for_each(|name| match copy(name) {
            Err(error) if is_withheld(error) => Ok(()),
            copied => copied,
        })
}

/// Whether an error says that an attribute is not for this user, or that there are none.
fn is_withheld(error: Errno) -> bool {
    [Errno::OPNOTSUPP, Errno::NOSYS, Errno::PERM, Errno::ACCESS].contains(&error)
}

/// Removes a file or a whole folder.
pub fn remove(roots: &[Root], place: &Place) -> Result<()> {
    let folder = place.open_folder(roots)?;
    remove_below(folder.as_fd(), place.split().1)
}

fn remove_below(folder: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        stat => stat?,
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Ok(rustix::fs::unlinkat(folder, name, AtFlags::empty())?);
    }
    let inner = rustix::fs::openat(folder, name, paths::FOLDER, Mode::empty())?;
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    if !mode.contains(Mode::RWXU) {
        rustix::fs::fchmod(&inner, mode | Mode::RWXU)?;
    }
    for entry in Dir::read_from(&inner)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            let shown = String::from_utf8_lossy(name).into_owned();
            remove_below(inner.as_fd(), name).with_context(|| format!("`{shown}`"))?;
        }
    }
    Ok(rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)?)
}

/// Folders in which files are replaced: they get their modes and times back at the end.
#[derive(Debug, Default)]
pub struct Folders {
    all: Vec<(usize, Vec<u8>, Stat)>,
}

impl Folders {
    /// Makes folders writable, given by their roots and paths.
    pub fn open(roots: &[Root], paths: impl Iterator<Item = (usize, Vec<u8>)>) -> Result<Self> {
        let mut folders = Self::default();
        for (root, path) in paths {
            let opened = folders.add(roots, root, path.clone());
            if let Err(error) = opened {
                folders.close(roots);
                return Err(anyhow::anyhow!(explain(
                    roots,
                    &Place { root, path },
                    &error
                )));
            }
        }
        Ok(folders)
    }

    fn add(&mut self, roots: &[Root], root: usize, path: Vec<u8>) -> Result<()> {
        let folder = paths::open_folder(&roots[root], &path)?;
        let stat = rustix::fs::fstat(&folder)?;
        self.all.push((root, path, stat));
        let may = Access::WRITE_OK | Access::EXEC_OK;
        if rustix::fs::accessat(&folder, ".", may, AtFlags::EACCESS) == Err(Errno::ACCESS) {
            let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
            rustix::fs::fchmod(&folder, mode | Mode::WUSR | Mode::XUSR)
                .context("the folder can't be made writable")?;
        }
        Ok(())
    }

    /// Gives them back what they had, as far as that is possible.
    pub fn close(self, roots: &[Root]) {
        for (root, path, stat) in self.all {
            // It may be gone with `bin`.
            if let Ok(folder) = paths::open_folder(&roots[root], &path) {
                let _ = rustix::fs::fchmod(&folder, Mode::from_raw_mode(stat.st_mode & 0o7777));
                let _ = rustix::fs::futimens(&folder, &times(&stat));
            }
        }
    }
}
