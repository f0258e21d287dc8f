//! A folder of a test's own: the vault, what is outside of it, and the programs over it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Command, Output, Stdio};

use camino::{Utf8Path, Utf8PathBuf};

/// The folder: `repository` with `docs`, `outside`, `home`, `state` and `tmp`.
pub struct Place {
    pub root: Utf8PathBuf,
    _guard: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let guard = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(guard.path().canonicalize().unwrap()).unwrap();
        for folder in ["repository/docs", "outside", "home", "state", "tmp"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        Self {
            root,
            _guard: guard,
        }
    }

    pub fn repository(&self) -> Utf8PathBuf {
        self.root.join("repository")
    }

    pub fn vault(&self) -> Utf8PathBuf {
        self.root.join("repository/docs")
    }

    /// Writes files of the vault.
    pub fn write(&self, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = self.vault().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    /// A program in the repository, with this place's folders and little memory.
    pub fn command(&self, program: &str) -> Command {
        let program = match program {
            "docs-check" => env!("CARGO_BIN_EXE_docs-check"),
            "docs-graph" => env!("CARGO_BIN_EXE_docs-graph"),
            "docs-list" => env!("CARGO_BIN_EXE_docs-list"),
            "docs-move" => env!("CARGO_BIN_EXE_docs-move"),
            other => other,
        };
        let mut command = Command::new("timeout");
        command
            .args(["--signal=KILL", "60", "sh", "-c"])
            .args(["ulimit -v 4000000; exec \"$@\"", "sh", program])
            .current_dir(self.repository())
            .env("HOME", self.root.join("home"))
            .env("XDG_STATE_HOME", self.root.join("state"))
            .env("TMPDIR", self.root.join("tmp"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program).args(arguments).output().unwrap()
    }

    /// Runs a program that must succeed; its stdout.
    pub fn stdout(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
        text(&output.stdout)
    }

    /// What an error says; the program must refuse with 2.
    pub fn refused(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        said
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// All below a folder, by path: kind, mode, time of change and contents; links are not followed.
pub fn snapshot(folder: &Utf8Path) -> BTreeMap<String, String> {
    fn look(folder: &Utf8Path, path: &Utf8Path, all: &mut BTreeMap<String, String>) {
        for entry in folder.join(path).read_dir_utf8().unwrap() {
            let below = path.join(entry.unwrap().file_name());
            let full = folder.join(&below);
            let data = fs::symlink_metadata(&full).unwrap();
            let mode = data.permissions().mode();
            let contents = if data.is_symlink() {
                full.read_link_utf8().unwrap().into_string()
            } else if data.is_file() {
                format!("{} {}", data.mtime_nsec(), text(&fs::read(&full).unwrap()))
            } else {
                String::new()
            };
            all.insert(below.to_string(), format!("{mode:o} {contents}"));
            if data.is_dir() {
                look(folder, &below, all);
            }
        }
    }
    let mut all = BTreeMap::new();
    look(folder, Utf8Path::new(""), &mut all);
    all
}
