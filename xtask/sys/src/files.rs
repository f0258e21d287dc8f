//! Files that are replaced in one piece, locks between runs, permission bits.

use std::ffi::OsStr;
use std::io::{self, Write as _};

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use fs_err::os::unix::fs::OpenOptionsExt as _;

/// Writes a file by a temporary file in the same folder and a rename: never half-written.
///
/// `mode` holds the permission bits, such as `0o644`, whatever the umask.
pub fn write_atomically(path: &Utf8Path, contents: &[u8], mode: u32) -> Result<()> {
    let folder = path
        .parent()
        .with_context(|| format!("`{path}` has no folder"))?;
    path.file_name()
        .with_context(|| format!("`{path}` has no file name"))?;
    // Whoever may write to the folder can't have put a link there.
    let temporary = folder.join(temporary_name());
    let write = || -> io::Result<()> {
        let mut file = create_new(&temporary, mode)?;
        file.write_all(contents)?;
        file.sync_all()?;
        set_mode(&temporary, mode)?;
        fs_err::rename(&temporary, path)
    };
    write().inspect_err(|_| {
        // The first error is the one to tell.
        let _ = fs_err::remove_file(&temporary);
    })?;
    Ok(())
}

/// A file that was not there; a link in its place is not followed.
fn create_new(path: &Utf8Path, mode: u32) -> io::Result<fs_err::File> {
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create_new(true).mode(mode).open(path)
}

/// A name for a file that nobody can guess, and nothing has.
pub fn temporary_name() -> String {
    use std::hash::{BuildHasher as _, Hasher as _};
    // The standard library's keys are random.
    let random = std::collections::hash_map::RandomState::new();
    format!(".xtask-{:016x}", random.build_hasher().finish())
}

/// Waits until no other run holds this lock; it is held until the file is dropped.
pub fn lock(path: &Utf8Path) -> Result<fs_err::File> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    let file = fs_err::File::create(path)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
        .with_context(|| format!("locking `{path}`"))?;
    Ok(file)
}

/// The same without waiting: none if another run holds it. What the file holds stays.
pub fn try_lock(path: &Utf8Path) -> Result<Option<fs_err::File>> {
    let mut options = fs_err::OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("locking `{path}`")),
    }
}

/// Copies a file or a folder with all that is in it; links stay links.
pub fn copy_tree(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    let kind = fs_err::symlink_metadata(from)?.file_type();
    if kind.is_symlink() {
        fs_err::os::unix::fs::symlink(fs_err::read_link(from)?, to)?;
    } else if kind.is_dir() {
        fs_err::create_dir_all(to)?;
        for entry in from.read_dir_utf8()? {
            let entry = entry?;
            copy_tree(entry.path(), &to.join(entry.file_name()))?;
        }
    } else {
        fs_err::copy(from, to)?;
    }
    Ok(())
}

/// Whether a file of this name is one that macOS leaves in the folders that it shows or copies.
pub fn is_left_by_mac(name: &OsStr) -> bool {
    name == ".DS_Store" || name.as_encoded_bytes().starts_with(b"._")
}

/// Whether a file that a flag names can be written: said before the work, not after.
pub fn check_result(flag: &str, file: &Utf8Path) -> Result<()> {
    if file.is_dir() {
        bail!("`{flag} {file}`: that is a folder");
    }
    let folder = file.parent().filter(|folder| !folder.as_str().is_empty());
    match folder.filter(|folder| !folder.is_dir()) {
        Some(folder) => bail!("`{flag} {file}`: `{folder}` is not a folder"),
        None => Ok(()),
    }
}

/// Writes a file that a flag names: in one piece, through links; into what is no file, such as a pipe, as it is.
pub fn write_result(file: &Utf8Path, contents: &[u8]) -> Result<()> {
    let Ok(there) = file.canonicalize_utf8() else {
        return write_atomically(file, contents, 0o644);
    };
    let metadata = fs_err::metadata(&there)?;
    if metadata.is_file() {
        let mode = std::os::unix::fs::MetadataExt::mode(&metadata) & 0o7777;
        return write_atomically(&there, contents, mode);
    }
    // By the name that was given: that of a pipe leads nowhere.
    let mut open = fs_err::OpenOptions::new().write(true).open(file)?;
    open.write_all(contents)?;
    Ok(())
}

/// Makes a folder, and makes sure that files can be made in it.
pub fn check_writable(folder: &Utf8Path) -> Result<()> {
    let probe = folder.join(format!(".writable.{}", std::process::id()));
    fs_err::create_dir_all(folder)
        .and_then(|()| fs_err::File::create(&probe))
        .and_then(|_| fs_err::remove_file(&probe))
        .context("the folder for results can't be written to")
}

/// A path without `.` and without `..` behind a name; symbolic links are not looked at.
pub fn normalized(path: impl AsRef<Utf8Path>) -> Utf8PathBuf {
    let mut normalized = Utf8PathBuf::new();
    for part in path.as_ref().components() {
        match part {
            Utf8Component::CurDir => {}
            Utf8Component::ParentDir
                if !matches!(normalized.file_name(), None | Some(".."))
                    || normalized.has_root() =>
            {
                normalized.pop();
            }
            part => normalized.push(part),
        }
    }
    normalized
}

/// Sets the permission bits of a file or folder.
pub fn set_mode(path: &Utf8Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_go_where_they_are_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let (file, link) = (folder.join("file"), folder.join("link"));
        write_result(&file, b"none").unwrap();
        fs_err::os::unix::fs::symlink("file", &link).unwrap();
        for text in ["one", "two"] {
            write_result(&link, text.as_bytes()).unwrap();
            assert_eq!(fs_err::read_to_string(&file).unwrap(), text);
            assert!(link.is_symlink());
        }
        // A pipe stays one.
        let pipe = folder.join("pipe");
        let processes = crate::process::Processes::new(false).unwrap();
        let made = processes.capture(processes.cmd("mkfifo").arg(&pipe));
        made.unwrap().success().unwrap();
        let read = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs_err::read_to_string(pipe).unwrap()
        });
        write_result(&pipe, b"through").unwrap();
        assert_eq!(read.join().unwrap(), "through");
        assert!(check_result("--to", folder).is_err());
        assert!(check_result("--to", &folder.join("none/file")).is_err());
        assert!(check_result("--to", &file).is_ok() && check_result("--to", "new".into()).is_ok());
    }

    #[test]
    fn paths_without_detours() {
        for (path, expected) in [
            ("a/./b/../c", "a/c"),
            ("../a/../../b", "../../b"),
            ("/../a", "/a"),
            ("a/..", ""),
        ] {
            assert_eq!(normalized(path), expected);
        }
    }

    #[test]
    fn nobody_can_lay_a_link_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap();
        let (precious, link) = (path.join("precious"), path.join("link"));
        write_atomically(&precious, b"precious", 0o600).unwrap();
        fs_err::os::unix::fs::symlink(&precious, &link).unwrap();
        assert!(create_new(&link, 0o600).is_err());
        assert_eq!(fs_err::read(&precious).unwrap(), b"precious");
        // Nor does anybody know where to.
        let names: std::collections::BTreeSet<String> = (0..9).map(|_| temporary_name()).collect();
        assert_eq!(names.len(), 9, "{names:?}");
    }

    #[test]
    fn files_are_replaced_with_their_mode() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("f");
        write_atomically(&path, b"one", 0o644).unwrap();
        write_atomically(&path, b"two", 0o600).unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"two");
        assert_eq!(
            fs_err::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
        let error = write_atomically(&path.join("below"), b"", 0o644).unwrap_err();
        assert!(format!("{error:#}").contains(path.as_str()), "{error:#}");
    }
}
