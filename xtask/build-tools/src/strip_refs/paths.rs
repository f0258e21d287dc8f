//! Opens the named paths and paths below them, never through a link.
//!
//! Every file is opened below the open folder that holds it, and never through a link, so that nothing
//! leads out of the tree, whoever changes it meanwhile.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::platform;

/// A path that was named, open.
#[derive(Debug)]
pub struct Root {
    /// The prefix of paths below it in messages: empty, or with a slash at its end.
    pub prefix: Vec<u8>,
    /// The folder itself, or the one that holds the file.
    pub folder: OwnedFd,
    /// The name of the file, if it is one.
    pub only: Option<Vec<u8>>,
    /// Device and inode of the folder.
    pub id: Id,
}

/// Device and inode.
pub type Id = (rustix::fs::Dev, u64);

/// Device and inode of a file.
pub fn id_of(stat: &Stat) -> Id {
    (stat.st_dev, stat.st_ino)
}

/// A path below a root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which root, by its number.
    pub root: usize,
    /// Below the root, in bytes, without a slash at either end.
    pub path: Vec<u8>,
}

impl Place {
    /// The folder's path, empty for the root, and the name in it.
    pub fn split(&self) -> (&[u8], &[u8]) {
        match self.path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&self.path[..slash], &self.path[slash + 1..]),
            None => (b"", &self.path),
        }
    }

    /// As it is shown in messages.
    pub fn show(&self, roots: &[Root]) -> Vec<u8> {
        [&roots[self.root].prefix, self.path.as_slice()].concat()
    }

    /// The folder that holds it, opened step by step, none of them through a link.
    pub fn open_folder(&self, roots: &[Root]) -> Result<OwnedFd> {
        open_folder(&roots[self.root], self.split().0)
    }
}

/// Opens a folder below a root, step by step, none of them through a link.
pub fn open_folder(root: &Root, path: &[u8]) -> Result<OwnedFd> {
    let mut folder = root.folder.try_clone()?;
    for name in path
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
    {
        folder = rustix::fs::openat(&folder, name, FOLDER, Mode::empty())?;
    }
    Ok(folder)
}

/// How folders are opened.
pub const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Opens a regular file without touching its times where that is allowed; a FIFO does not make it wait.
pub fn open_file(folder: BorrowedFd<'_>, name: impl rustix::path::Arg + Copy) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match rustix::fs::openat(folder, name, flags | platform::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => Ok(rustix::fs::openat(folder, name, flags, Mode::empty())?),
        opened => Ok(opened?),
    }
}

/// Opens the paths that were named. A path named twice counts once; hard links of a file are several.
pub fn open_roots(paths: &[impl AsRef<Path>]) -> Result<Vec<Root>> {
    let mut roots: Vec<Root> = Vec::new();
    for path in paths {
        let path = path.as_ref();
        let root = open_root(path).with_context(|| format!("`{}`", path.display()))?;
        let named = |other: &Root| (other.id, &other.only) == (root.id, &root.only);
        if !roots.iter().any(named) {
            roots.push(root);
        }
    }
    Ok(roots)
}

fn open_root(path: &Path) -> Result<Root> {
    let here = rustix::fs::CWD;
    let stat = rustix::fs::statat(here, path, AtFlags::SYMLINK_NOFOLLOW)?;
    let shown = path.as_os_str().as_bytes();
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            let folder = rustix::fs::openat(here, path, FOLDER, Mode::empty())?;
            Ok(Root {
                prefix: match shown {
                    b"." | b"./" => Vec::new(),
                    _ if shown.ends_with(b"/") => shown.to_vec(),
                    _ => [shown, b"/"].concat(),
                },
                id: id_of(&rustix::fs::fstat(&folder)?),
                folder,
                only: None,
            })
        }
        FileType::RegularFile => {
            let name = path.file_name().context("it has no name")?.as_bytes();
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            let flags = FOLDER.difference(OFlags::NOFOLLOW);
            let folder = folder.unwrap_or(Path::new("."));
            let folder = rustix::fs::openat(here, folder, flags, Mode::empty())?;
            Ok(Root {
                prefix: shown[..shown.len() - name.len()].to_vec(),
                id: id_of(&rustix::fs::fstat(&folder)?),
                folder,
                only: Some(name.to_vec()),
            })
        }
        FileType::Symlink => {
            bail!("it is a link, and links are not followed: name what it points to")
        }
        _ => bail!("it is neither a file nor a folder"),
    }
}
