//! What the program writes: lines for people, lines for machines, files in one piece.

use std::io::{self, Write as _};
use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use fs_err::os::unix::fs::OpenOptionsExt as _;

/// Writes a line to stderr, for people. A closed stderr is no reason to stop a build.
pub fn say(line: impl AsRef<[u8]>) {
    let mut stderr = io::stderr().lock();
    let mut bytes = line.as_ref().to_vec();
    bytes.push(b'\n');
    let _ = stderr.write_all(&bytes);
}

/// Says something, if it is anything.
pub fn say_if_any(text: &str) {
    if !text.is_empty() {
        say(text);
    }
}

/// Writes a line to stdout, for machines.
pub fn emit(line: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").context("writing to stdout")
}

/// Whether escape sequences may go to stderr: on a terminal that knows them, unless `NO_COLOR` is set.
pub fn stderr_takes_escapes() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| takes_escapes(&io::stderr()))
}

/// Whether escape sequences may go to stdout.
pub fn stdout_takes_escapes() -> bool {
    takes_escapes(&io::stdout())
}

fn takes_escapes(stream: &impl io::IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|value| value.is_empty() || value == "dumb");
    !refused && !dumb && stream.is_terminal()
}

/// Writes a file by a temporary file in the same folder and a rename: never half-written.
///
/// `mode` holds the permission bits, such as `0o644`, whatever the umask.
pub fn write_atomically(path: &Utf8Path, contents: &[u8], mode: u32) -> Result<()> {
    let folder = path
        .parent()
        .with_context(|| format!("`{path}` has no folder"))?;
    let name = path
        .file_name()
        .with_context(|| format!("`{path}` has no file name"))?;
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    let write = || -> io::Result<()> {
        let mut options = fs_err::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(contents)?;
        file.sync_all()?;
        set_mode(&temporary, mode)?;
        fs_err::rename(&temporary, path)
    };
    write().inspect_err(|_| {
        // The first error is the one to tell; a left-over is overwritten by the next run.
        let _ = fs_err::remove_file(&temporary);
    })?;
    Ok(())
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

/// Makes a folder, and makes sure that files can be made in it.
pub fn check_writable(folder: &Utf8Path) -> Result<()> {
    let probe = folder.join(format!(".writable.{}", std::process::id()));
    fs_err::create_dir_all(folder)
        .and_then(|()| fs_err::File::create(&probe))
        .and_then(|_| fs_err::remove_file(&probe))
        .context("the folder for results can't be written to")
}

/// A line on a terminal that is there for a while; elsewhere nothing.
#[derive(Debug)]
pub struct Note;

impl Note {
    /// Shows the line until the value is dropped.
    pub fn new(text: &str) -> Self {
        if stderr_takes_escapes() {
            let _ = write!(io::stderr().lock(), "{text}\r");
        }
        Self
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if stderr_takes_escapes() {
            let _ = write!(io::stderr().lock(), "\u{1b}[K");
        }
    }
}

/// Sets the permission bits of a file or folder.
pub fn set_mode(path: &Utf8Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Columns padded to the widest cell, two spaces between them, no blanks at the end of a line.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A size in bytes, for people: powers of 1024, one decimal.
pub fn human_size(bytes: u64) -> String {
    let mut unit = 0;
    let mut whole = bytes;
    let mut tenths = 0;
    while whole >= 1024 && unit < 4 {
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit += 1;
    }
    match unit {
        0 => format!("{whole} B"),
        _ => format!(
            "{whole}.{tenths} {}",
            ["KiB", "MiB", "GiB", "TiB"][unit - 1]
        ),
    }
}

/// A time in seconds, for people.
pub fn human_seconds(seconds: f64) -> String {
    format!("{seconds:.1} s")
}

/// A JSON line on stdout.
pub fn emit_json(value: &impl serde::Serialize) -> Result<()> {
    emit(&serde_json::to_string(value).context("writing JSON")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (970 * 1024 * 1024, "970.0 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(human_size(bytes), text);
        }
    }

    #[test]
    fn tables_are_aligned() {
        let rows = vec![
            vec!["component".to_owned(), "state".to_owned()],
            vec!["client-ts".to_owned(), "built".to_owned(), "x".to_owned()],
            vec!["é".to_owned(), String::new(), "y".to_owned()],
        ];
        assert_eq!(
            table(&rows),
            "component  state\nclient-ts  built  x\né                 y\n"
        );
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
