//! Files below a folder that others wrote: no link below it is followed, and nothing that makes a reader wait
//! or fills the memory is read.
//!
//! Each folder on the way is opened from the one above it, so that nobody can put a link in its place meanwhile.

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::files::temporary_name;
use crate::platform;

/// A folder, by which files below it are reached.
#[derive(Debug)]
pub struct Inside {
    root: OwnedFd,
    path: Utf8PathBuf,
    data: Stat,
}

/// What is at a path, links not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whether it is a regular file.
    pub is_file: bool,
    /// Its permission bits.
    pub mode: u32,
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// How long a text of others may be that is read whole, in bytes.
pub const LONGEST_TEXT: u64 = 16 << 20;
/// The longest name of a file that common file systems have, in bytes.
const LONGEST_NAME: usize = 255;

impl Inside {
    /// A folder; links that lead to it are followed.
    pub fn open(path: &Utf8Path) -> Result<Self> {
        let opening = || format!("opening the folder `{path}`");
        let flags = FOLDER.difference(OFlags::NOFOLLOW);
        let root =
            rustix::fs::open(path.as_std_path(), flags, Mode::empty()).with_context(opening)?;
        let data = rustix::fs::fstat(&root).with_context(opening)?;
        Ok(Self {
            root,
            path: path.to_owned(),
            data,
        })
    }

    /// The folder's path.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The names on a path below the folder; an error where it leads out.
    fn names(below: &Utf8Path) -> Result<Vec<&str>> {
        let names = below.components().map(|part| match part {
            Utf8Component::Normal(name) if name.len() <= LONGEST_NAME => Ok(name),
            Utf8Component::Normal(_) => {
                bail!(
                    "a name in `{below}` is longer than {LONGEST_NAME} bytes: choose a shorter one"
                )
            }
            _ => bail!("`{below}` is no path below the folder"),
        });
        let names: Vec<&str> = names.collect::<Result<_>>()?;
        ensure!(!names.is_empty(), "`{below}` names no file");
        Ok(names)
    }

    /// The folder that holds a path, and the path's last name. With `make` folders that are missing are made.
    fn parent<'p>(&self, below: &'p Utf8Path, make: bool) -> Result<(OwnedFd, &'p str)> {
        let mut names = Self::names(below)?;
        let last = names.pop().unwrap_or_default();
        let cloning = || format!("opening the folder `{}`", self.path);
        let mut folder = self.root.try_clone().with_context(cloning)?;
        let mut path = Utf8PathBuf::new();
        for name in names {
            path.push(name);
            folder = match rustix::fs::openat(&folder, name, FOLDER, Mode::empty()) {
                Err(Errno::NOENT) if make => {
                    rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o777)).with_context(
                        || format!("making the folder `{}`", self.path.join(&path)),
                    )?;
                    rustix::fs::openat(&folder, name, FOLDER, Mode::empty())
                }
                opened => opened,
            }
            .map_err(|error| self.no_folder(&path, error))?;
        }
        Ok((folder, last))
    }

    fn no_folder(&self, path: &Utf8Path, error: Errno) -> anyhow::Error {
        let path = self.path.join(path);
        match error {
            // Linux says the second of a link, macOS the first.
            Errno::LOOP | Errno::NOTDIR => {
                anyhow::anyhow!("`{path}` is a link or a file, not a folder")
            }
            error => anyhow::Error::new(error).context(format!("opening the folder `{path}`")),
        }
    }

    /// What is at a path; nothing where it or a folder on the way does not exist.
    pub fn find(&self, below: &Utf8Path) -> Result<Option<Found>> {
        let (folder, name) = match self.parent(below, false) {
            Err(error) if error.downcast_ref() == Some(&Errno::NOENT) => return Ok(None),
            parent => parent?,
        };
        match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(data) => Ok(Some(found(&data))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error).with_context(|| self.looking_at(below)),
        }
    }

    /// That a file can be made at a path: what exists on the way are folders of the same file system, no name is too
    /// long, and it is not taken.
    pub fn check_free(&self, below: &Utf8Path) -> Result<()> {
        let names = Self::names(below)?;
        let mut path = Utf8PathBuf::new();
        for name in &names[..names.len() - 1] {
            path.push(name);
            let (folder, name) = self.parent(&path, false)?;
            let folder = match rustix::fs::openat(&folder, name, FOLDER, Mode::empty()) {
                Err(Errno::NOENT) => return Ok(()),
                opened => opened.map_err(|error| self.no_folder(&path, error))?,
            };
            let data = rustix::fs::fstat(&folder).with_context(|| self.looking_at(&path))?;
            ensure!(
                data.st_dev == self.data.st_dev,
                "`{}` is on another file system: a file can't be moved there at once",
                self.path.join(&path)
            );
        }
        let taken = self.find(below)?;
        ensure!(
            taken.is_none(),
            "`{}` is there already",
            self.path.join(below)
        );
        Ok(())
    }

    /// The names that the folder of a path lists, links among them: where case makes no difference others find a
    /// file, too. One that is not UTF-8 is left out.
    pub fn beside(&self, below: &Utf8Path) -> Result<Vec<String>> {
        let (folder, _) = self.parent(below, false)?;
        // Opened anew: of a handle that was read the end is where the next one begins.
        let entries = rustix::fs::Dir::read_from(folder).with_context(|| self.looking_at(below))?;
        let names =
            entries.filter_map(|entry| Some(entry.ok()?.file_name().to_str().ok()?.to_owned()));
        Ok(names.collect())
    }

    fn looking_at(&self, below: &Utf8Path) -> String {
        format!("looking at `{}`", self.path.join(below))
    }

    /// The contents of a regular file, at most so many bytes.
    pub fn read(&self, below: &Utf8Path, limit: u64) -> Result<Vec<u8>> {
        let (folder, name) = self.parent(below, false)?;
        let reading = || format!("reading `{}`", self.path.join(below));
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, name, flags, Mode::empty()).with_context(reading)?;
        contents(opened(file, &self.path.join(below)), limit).with_context(reading)
    }

    /// A new file, in a folder that is made if there is none. A path that is taken is an error.
    pub fn create(&self, below: &Utf8Path, contents: &[u8], mode: u32) -> Result<()> {
        let (folder, name) = self.parent(below, true)?;
        let writing = || format!("writing `{}`", self.path.join(below));
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let private = Mode::from_raw_mode(0o600);
        let file = rustix::fs::openat(&folder, name, flags, private).with_context(writing)?;
        let mode = Mode::from_raw_mode(rustix::fs::RawMode::try_from(mode).unwrap_or(0o644));
        rustix::fs::fchmod(&file, mode).with_context(writing)?;
        let mut file = opened(file, &self.path.join(below));
        let written = file.write_all(contents).and_then(|()| file.sync_all());
        written.with_context(writing)
    }

    /// A file in the place of another one, or of none: made whole under another name, then renamed.
    pub fn replace(&self, below: &Utf8Path, contents: &[u8], mode: u32) -> Result<()> {
        let new = below.with_file_name(temporary_name());
        let done = self
            .create(&new, contents, mode)
            .and_then(|()| self.rename(&new, below));
        done.inspect_err(|_| {
            // The first error is the one to tell.
            let _ = self.remove(&new);
        })
    }

    /// Gives a file another path, in a folder that is made if there is none. What is there is replaced.
    pub fn rename(&self, old: &Utf8Path, new: &Utf8Path) -> Result<()> {
        let (from, from_name) = self.parent(old, false)?;
        let (to, to_name) = self.parent(new, true)?;
        rustix::fs::renameat(&from, from_name, &to, to_name).with_context(|| {
            let (old, new) = (self.path.join(old), self.path.join(new));
            format!("renaming `{old}` to `{new}`")
        })
    }

    /// Removes a file, and the folders above it that are empty then. One that is not there is no error.
    pub fn remove(&self, below: &Utf8Path) -> Result<()> {
        match self.parent(below, false) {
            Ok((folder, name)) => match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => {
                    let removing = || format!("removing `{}`", self.path.join(below));
                    return Err(error).with_context(removing);
                }
            },
            Err(error) if error.downcast_ref() == Some(&Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
        self.remove_empty(below);
        Ok(())
    }

    /// Removes the folders above a path that are empty.
    pub fn remove_empty(&self, below: &Utf8Path) {
        for path in below
            .ancestors()
            .skip(1)
            .filter(|path| !path.as_str().is_empty())
        {
            let removed = self.parent(path, false).ok().and_then(|(folder, name)| {
                rustix::fs::unlinkat(&folder, name, AtFlags::REMOVEDIR).ok()
            });
            if removed.is_none() {
                break;
            }
        }
    }
}

fn found(data: &Stat) -> Found {
    let kind = FileType::from_raw_mode(data.st_mode);
    Found {
        is_file: kind == FileType::RegularFile,
        mode: platform::mode_bits(data.st_mode),
    }
}

/// The contents of a regular file, at most so many bytes; links are followed.
pub fn read(path: &Utf8Path, limit: u64) -> Result<Vec<u8>> {
    let reading = || format!("reading `{path}`");
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path.as_std_path(), flags, Mode::empty()).with_context(reading)?;
    contents(opened(file, path), limit).with_context(reading)
}

/// As [`read`], for text.
pub fn read_text(path: &Utf8Path, limit: u64) -> Result<String> {
    let bytes = read(path, limit)?;
    String::from_utf8(bytes).with_context(|| format!("`{path}` is not UTF-8"))
}

/// A file by its handle, and the path that its errors name.
fn opened(handle: OwnedFd, path: &Utf8Path) -> fs_err::File {
    fs_err::File::from_parts(handle.into(), path)
}

fn contents(file: fs_err::File, limit: u64) -> io::Result<Vec<u8>> {
    let other = |what: String| Err(io::Error::other(what));
    let data = file.metadata()?;
    if !data.is_file() {
        return other("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(data.len().min(limit)).unwrap_or(0) + 1);
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return other(format!("it has more than {limit} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_not_followed_and_nothing_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap();
        let root = path.join("root");
        fs_err::create_dir_all(root.join("a")).unwrap();
        fs_err::create_dir(path.join("outside")).unwrap();
        fs_err::os::unix::fs::symlink("../outside", root.join("out")).unwrap();
        fs_err::os::unix::fs::symlink("../outside/f", root.join("f")).unwrap();
        let inside = Inside::open(&root).unwrap();
        for below in ["../x", "/x", "a/../../x", "", ".", "out/x", "out/y/x"] {
            let below = Utf8Path::new(below);
            assert!(inside.create(below, b"x", 0o644).is_err(), "{below}");
            assert!(inside.replace(below, b"x", 0o644).is_err(), "{below}");
            assert!(inside.check_free(below).is_err(), "{below}");
            assert!(inside.read(below, 9).is_err(), "{below}");
        }
        assert!(
            inside.read("f".into(), 9).is_err() && inside.create("f".into(), b"", 0o644).is_err()
        );
        assert!(!inside.find("f".into()).unwrap().unwrap().is_file);
        // The link itself is replaced, not what it leads to.
        inside.replace("f".into(), b"x", 0o600).unwrap();
        assert_eq!(inside.find("f".into()).unwrap().unwrap().mode, 0o600);
        assert_eq!(fs_err::read_dir(path.join("outside")).unwrap().count(), 0);
    }

    #[test]
    fn files_are_made_moved_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap();
        let inside = Inside::open(path).unwrap();
        let (one, two) = (Utf8Path::new("a/b/one"), Utf8Path::new("c/two"));
        assert_eq!(inside.find(one).unwrap(), None);
        inside.check_free(one).unwrap();
        inside.create(one, b"1", 0o640).unwrap();
        assert!(inside.check_free(one).is_err() && inside.create(one, b"2", 0o640).is_err());
        let below_file = inside.check_free(&one.join("x")).unwrap_err().to_string();
        assert!(below_file.contains("not a folder"), "{below_file}");
        let long = inside
            .check_free(&Utf8PathBuf::from("é".repeat(200)))
            .unwrap_err();
        assert!(long.to_string().contains("longer than 255 bytes"), "{long}");
        inside.rename(one, two).unwrap();
        inside.remove_empty(one);
        assert_eq!(inside.read(two, 1).unwrap(), b"1");
        assert!(inside.read(two, 0).is_err() && !path.join("a").exists());
        for _ in 0..2 {
            let beside = inside.beside(Utf8Path::new("x")).unwrap();
            assert!(beside.iter().any(|name| name == "c"), "{beside:?}");
        }
        inside.remove(two).unwrap();
        inside.remove(two).unwrap();
        assert_eq!(fs_err::read_dir(path).unwrap().count(), 0);
    }

    #[test]
    fn what_never_ends_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap();
        let fifo = path.join("fifo");
        let processes = crate::process::Processes::new(false).unwrap();
        let made = processes
            .capture(processes.cmd("mkfifo").arg(&fifo))
            .unwrap();
        made.success().unwrap();
        let inside = Inside::open(path).unwrap();
        assert!(inside.read("fifo".into(), 9).is_err());
        for path in [fifo.as_path(), Utf8Path::new("/dev/zero"), path] {
            let error = format!("{:#}", read(path, 9).unwrap_err());
            assert!(error.contains("not a regular file"), "{error}");
        }
    }
}
