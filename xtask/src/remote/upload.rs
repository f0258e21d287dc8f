//! A part of a folder that travels to another machine in one piece.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use sys::process::Processes;
use sys::scratch::Scratch;

/// What no component is built from, wherever it is: folders, and what a Mac's Finder leaves.
const NEVER: [&str; 7] = [
    ".git",
    ".venv",
    ".wireit",
    "__pycache__",
    "node_modules",
    ".DS_Store",
    "._*",
];

/// A folder, or a part of one, that travels in one piece.
#[derive(Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its folder there, below the run's.
    pub to: &'static str,
    /// Its folder here.
    pub from: Utf8PathBuf,
    /// What of it travels.
    pub names: Vec<String>,
    /// What below these does not.
    pub without: Vec<String>,
}

impl Upload {
    /// An upload with all that a folder holds.
    pub fn of_folder(to: &'static str, from: &Utf8Path) -> Self {
        Self {
            to,
            from: from.to_owned(),
            names: vec![".".to_owned()],
            without: Vec::new(),
        }
    }

    /// Takes in what another upload has of a folder below this one's.
    pub fn take_in(&mut self, other: &Self) {
        let below = other.from.strip_prefix(&self.from).unwrap_or(&other.from);
        let names = other.names.iter();
        for name in names.map(|name| below.join(name).into_string()) {
            if !self.names.contains(&name) {
                self.names.push(name);
            }
        }
    }

    /// The upload as a compressed tar file.
    pub fn pack(&self, processes: &Processes) -> Result<Vec<u8>> {
        self.packed_by("tar", processes)
    }

    /// The same by this `tar`: GNU's on Linux, bsdtar on macOS.
    fn packed_by(&self, tar: &str, processes: &Processes) -> Result<Vec<u8>> {
        let scratch = Scratch::new()?;
        let file = scratch.path().join("packed");
        let without = NEVER.iter().copied();
        let without = without.chain(self.without.iter().map(String::as_str));
        let command = processes
            .cmd(tar)
            // or macOS adds files of its own
            .env("COPYFILE_DISABLE", "1")
            .args([
                "--no-xattrs",
                "-czf",
                file.as_str(),
                "-C",
                self.from.as_str(),
            ])
            .args(without.map(|pattern| format!("--exclude={pattern}")))
            .arg("--")
            // bsdtar takes `@types` for the name of an archive
            .args(self.names.iter().map(|name| match name.strip_prefix('@') {
                Some(_) => format!("./{name}"),
                None => name.clone(),
            }));
        processes.capture(command)?.success()?;
        Ok(fs_err::read(&file)?)
    }
}

#[cfg(test)]
mod tests {
    use sys::{files, terminal};

    use super::*;

    /// The names in a packed upload, without `./` before them.
    fn names(processes: &Processes, packed: &[u8]) -> Vec<String> {
        let scratch = Scratch::new().unwrap();
        let file = scratch.path().join("packed");
        files::write_atomically(&file, packed, 0o644).unwrap();
        let listed = processes.capture(processes.cmd("tar").args(["-tzf", file.as_str()]));
        let listed = listed.unwrap().success().unwrap();
        let names = listed.lines().map(|name| name.trim_start_matches("./"));
        names.map(str::to_owned).collect()
    }

    #[test]
    fn both_tars_pack_one_tree() {
        let processes = Processes::new(false).unwrap();
        if !tars_are_there(&processes) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let top = Utf8Path::from_path(folder.path()).unwrap();
        let from = top.join("from");
        let long = format!("{}/{}", "l".repeat(120), "caf\u{e9} ".repeat(30));
        for (path, mode) in [
            ("@types/a", 0o644),
            ("b/@c", 0o644),
            ("b/run", 0o755),
            ("b/-x", 0o600),
            ("b/a*[b]?", 0o644),
            ("b/with blank\\and \"quotes\"", 0o644),
            ("b/web/dist/left out", 0o644),
            ("b/web/other", 0o644),
            ("b/node_modules/left out", 0o644),
            (&*format!("b/{long}"), 0o644),
        ] {
            let path = from.join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            files::write_atomically(&path, path.as_str().as_bytes(), mode).unwrap();
        }
        fs_err::create_dir(from.join("b/empty")).unwrap();
        for (link, to) in [
            ("run-link", "run"),
            ("none", "/nowhere"),
            ("@up", "../@types"),
        ] {
            fs_err::os::unix::fs::symlink(to, from.join("b").join(link)).unwrap();
        }
        fs_err::hard_link(from.join("b/run"), from.join("b/same")).unwrap();
        let upload = Upload {
            to: "repo",
            from: from.clone(),
            names: vec!["@types".to_owned(), "b".to_owned()],
            without: vec!["b/web/dist".to_owned()],
        };
        let mut trees = Vec::new();
        for (packer, unpacker) in [
            ("tar", "tar"),
            ("tar", "bsdtar"),
            ("bsdtar", "tar"),
            ("bsdtar", "bsdtar"),
        ] {
            let packed = upload.packed_by(packer, &processes).unwrap();
            let to = top.join(format!("by-{packer}-{unpacker}"));
            fs_err::create_dir(&to).unwrap();
            let file = top.join("packed");
            files::write_atomically(&file, &packed, 0o644).unwrap();
            // as the script on the other machine does
            let command = processes.cmd(unpacker);
            let command = command.args(["xof", file.as_str(), "-C", to.as_str()]);
            processes.capture(command).unwrap().success().unwrap();
            trees.push(nix_formats::nar::tree(to.as_std_path()).unwrap());
        }
        for left_out in ["b/web/dist", "b/node_modules"] {
            fs_err::remove_dir_all(from.join(left_out)).unwrap();
        }
        let whole = nix_formats::nar::tree(from.as_std_path()).unwrap();
        assert!(trees.iter().all(|tree| *tree == whole), "{trees:?} {whole}");
    }

    /// bsdtar is Debian's package libarchive-tools; without it that is said, and an error in CI.
    fn tars_are_there(processes: &Processes) -> bool {
        let is_there = processes
            .capture(processes.cmd("bsdtar").arg("--version"))
            .is_ok();
        let said = "NOT TESTED, there is no bsdtar: `apt-get install libarchive-tools` brings it";
        assert!(is_there || std::env::var_os("CI").is_none(), "{said}");
        if !is_there {
            terminal::say(said);
        }
        is_there
    }

    #[test]
    fn what_the_finder_leaves_stays_here() {
        let processes = Processes::new(false).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let from = Utf8Path::from_path(folder.path()).unwrap();
        for path in [
            "@types/a",
            "b/c",
            ".DS_Store",
            "b/.DS_Store",
            "b/._c",
            "b/_c",
            "b/.c",
        ] {
            let path = from.join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            files::write_atomically(&path, b"x", 0o644).unwrap();
        }
        let upload = Upload {
            to: "repo",
            from: from.to_owned(),
            names: vec!["@types".to_owned(), "b".to_owned()],
            without: Vec::new(),
        };
        for upload in [upload, Upload::of_folder("repo", from)] {
            let packed = upload.pack(&processes).unwrap();
            let mut files = names(&processes, &packed);
            files.retain(|name| !name.is_empty() && !name.ends_with('/'));
            files.sort();
            assert_eq!(files, ["@types/a", "b/.c", "b/_c", "b/c"]);
        }
    }
}
