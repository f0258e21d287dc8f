//! The commands in a folder as a Mac has it: case makes no difference, and names come decomposed. What they find
//! there is what they find on Linux.

use std::fs;
use std::process::{Command, Output};

use camino::{Utf8Path, Utf8PathBuf};

use test_support::common::{self, program, run, stdout, text, xtask};
use test_support::mac::MacFolder;

/// A vault in a repository, on a Mac and on Linux.
struct Both {
    mac: MacFolder,
    linux: tempfile::TempDir,
}

impl Both {
    /// With these files; `None` where a folder of a Mac can't be had.
    fn with(files: &[(&str, &str)]) -> Option<Self> {
        let both = Self {
            mac: MacFolder::start()?,
            linux: tempfile::tempdir().unwrap(),
        };
        for (path, contents) in files {
            for top in both.tops() {
                let path = top.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, contents).unwrap();
            }
        }
        both.git(&["init", "--quiet"]);
        // By their names, as git finds them on a Mac: there it composes what is listed.
        let paths: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        both.git(&[&["update-index", "--add", "--"], &paths[..]].concat());
        both.git(&["commit", "--quiet", "--message", "cards"]);
        Some(both)
    }

    fn linux(&self) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.linux.path().canonicalize().unwrap()).unwrap()
    }

    fn tops(&self) -> [Utf8PathBuf; 2] {
        [self.mac.from_here(), self.linux()]
    }

    /// A command in both, with a folder of its own for what is remembered: on the Mac first.
    fn commands(&self, name: &str) -> [Command; 2] {
        let [mac, mut linux] = [self.mac.command(name), Command::new(name)];
        linux.current_dir(self.linux());
        [mac, linux].map(|mut command| {
            command
                .env_remove("CARGO_MANIFEST_DIR")
                .env("XDG_STATE_HOME", self.linux().join(".git/state"));
            command
        })
    }

    /// Git in both, which must succeed; what it says on the Mac.
    fn git(&self, arguments: &[&str]) -> String {
        let plain = common::git("/".into());
        let said = self.commands("git").map(|mut command| {
            for (name, value) in plain.get_envs() {
                command.env(name, value.unwrap_or_default());
            }
            stdout(command.args(plain.get_args()).args(arguments))
        });
        let [mac, _] = said;
        mac
    }

    /// The program in both, in the vault `docs`: the exit code and all that it says, which has to be the same.
    fn same(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let [mac, linux] = self.ran(arguments);
        assert_eq!(mac, linux, "{arguments:?}");
        mac
    }

    fn ran(&self, arguments: &[&str]) -> [(Option<i32>, String); 2] {
        let [mac, linux] = self.commands(program().as_str()).map(|mut command| {
            run(command
                .args(&arguments[..1])
                .args(["--vault", "docs"])
                .args(&arguments[1..]))
        });
        [ended(&mac, self.mac.path()), ended(&linux, &self.linux())]
    }

    /// The files of the vault with what they hold, by names that are composed as git has them.
    fn cards(&self) -> [Vec<(String, String)>; 2] {
        self.tops().map(|top| {
            let listed = stdout(
                Command::new("find")
                    .args(["docs", "-type", "f"])
                    .current_dir(&top),
            );
            let mut cards: Vec<(String, String)> = listed
                .lines()
                .map(|path| {
                    let text = fs::read_to_string(top.join(path)).unwrap();
                    (path.replace("e\u{301}", "\u{e9}"), text)
                })
                .collect();
            cards.sort();
            cards
        })
    }
}

/// How a program ended, and what it said, without the folder's path.
fn ended(output: &Output, top: &Utf8Path) -> (Option<i32>, String) {
    let said = text(&output.stdout) + &text(&output.stderr);
    (output.status.code(), said.replace(top.as_str(), ""))
}

/// Links by all sorts of wrong case, to what is spelled otherwise on disk, and by composed characters.
const CARDS: &[(&str, &str)] = &[
    ("containers/host-pkgs/default.nix", "{ }"),
    (
        "docs-check.toml",
        "resolve = \"both\"\n[codes]\npath-unknown = \"error\"\n",
    ),
    ("Src/Main.rs", ""),
    (
        "docs/index.md",
        "[[first]] [[First]] [[café]] [[Café]] [[how-to/second]] [[How-To/second]]\n",
    ),
    (
        "docs/first.md",
        "![[Picture.png]] ![[picture.png]] ![x](Picture.png) ![x](picture.png) [x](How-To/second.md)\n\
         [x](how-to/second.md) [x](../Src/Main.rs) [x](../src/main.rs) [x](caf\u{e9}.md) [x](CAF\u{c9}.md)\n\
         \n`docs/index.md` `docs/Index.md` `docs/How-To/second.md`\n",
    ),
    (
        "docs/caf\u{e9}.md",
        "# A heading\n\n[[first]] ![[pictur\u{e9}.png]]\n",
    ),
    (
        "docs/how-to/second.md",
        "[[caf\u{e9}#A heading]] [[café#No heading]]\n",
    ),
    ("docs/Picture.png", ""),
    ("docs/pictur\u{e9}.png", ""),
];

#[test]
fn the_folder_is_as_on_a_mac() {
    let Some(mac) = MacFolder::start() else {
        return;
    };
    let top = mac.from_here();
    fs::create_dir(top.join("Folder")).unwrap();
    fs::write(top.join("Folder/Caf\u{e9}.md"), "text").unwrap();
    assert_eq!(
        fs::read_to_string(top.join("folder/cAF\u{c9}.MD")).unwrap(),
        "text"
    );
    let listed = |folder: &str| -> Vec<String> {
        let entries = top.join(folder).read_dir_utf8().unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().to_owned())
            .collect()
    };
    assert_eq!(listed("FOLDER"), ["Cafe\u{301}.md"]);
    fs::rename(
        top.join("folder/caf\u{e9}.md"),
        top.join("folder/CAF\u{c9}.md"),
    )
    .unwrap();
    assert_eq!(listed("Folder"), ["CAFE\u{301}.md"]);
    let mount = mac.path();
    assert_eq!(mount.read_dir_utf8().unwrap().count(), 0, "others see it");
}

#[test]
fn findings_are_those_of_linux() {
    let Some(both) = Both::with(CARDS) else {
        return;
    };
    let (code, said) = both.same(&["docs-check"]);
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "there is no file `picture.png`",
        "there is no file `../src/main.rs`",
        "caf\u{e9} has no heading `No heading`",
        "there is no `docs/Index.md` in the repository",
    ] {
        assert!(said.contains(part), "lacks {part}:\n{said}");
    }
    assert_eq!(both.same(&["docs-check", "--staged"]), (code, said));
    both.same(&["docs-check", "--fix"]);
    let [mac, linux] = both.cards();
    assert_eq!(mac, linux);
    both.same(&["docs-list", "--orphans"]);
    // Hashes are those of the names that were typed only where all are of ASCII, as Nix itself has it.
    for top in both.tops() {
        fs::remove_file(top.join("docs/caf\u{e9}.md")).unwrap();
        fs::remove_file(top.join("docs/pictur\u{e9}.png")).unwrap();
    }
    let [mac, linux] = both
        .commands(program().as_str())
        .map(|mut command| stdout(command.args(["hash", "docs"])));
    assert_eq!(mac, linux);
}

#[test]
fn moves_are_those_of_linux_and_git_follows() {
    let Some(both) = Both::with(CARDS) else {
        return;
    };
    // On Linux git would show the decomposed names as new files.
    let status = || both.git(&["status", "--short", "--untracked-files=no"]);
    let names = || both.git(&["-c", "core.quotePath=off", "ls-files"]);
    // In another case alone: git on a file system that ignores case would keep the old name.
    both.same(&["docs-move", "first", "First"]);
    assert!(names().contains("docs/First.md\n"), "{}", names());
    both.git(&["add", "--update"]);
    both.git(&["update-index", "--add", "--", "docs/First.md"]);
    both.git(&["commit", "--quiet", "--message", "renamed"]);
    assert_eq!(status(), "");
    let [mac, linux] = both.cards();
    assert_eq!(mac, linux);
    // By a name of decomposed characters, as a Mac completes it, to one without.
    both.same(&["docs-move", "cafe\u{301}", "th\u{e9}"]);
    both.same(&["docs-move", "th\u{e9}", "how-to/"]);
    let [mac, linux] = both.cards();
    assert_eq!(mac, linux);
    assert!(
        mac.iter()
            .any(|(path, _)| path == "docs/how-to/th\u{e9}.md")
    );
    // Other files, and folders with all that is in them.
    both.same(&["docs-move", "Picture.png", "picture.png"]);
    assert!(names().contains("docs/picture.png\n"), "{}", names());
    both.same(&["docs-move", "how-to/", "guides/"]);
    both.same(&["docs-move", "guides/", "guides-\u{e9}/"]);
    let [mac, linux] = both.cards();
    assert_eq!(mac, linux);
    assert!(
        mac.iter()
            .any(|(path, _)| path == "docs/guides-\u{e9}/th\u{e9}.md")
    );
    let (code, said) = both.same(&["docs-move", "GUIDES-\u{c9}/", "x/"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("there is no folder"), "{said}");
    both.same(&["docs-move", "guides-\u{e9}/", "how-to/"]);
    let [mac, linux] = both.cards();
    assert_eq!(mac, linux);
    // On Linux this is a folder of its own; here it would be the one that is there.
    let [(code, said), _] = both.ran(&["docs-move", "second", "How-To/third"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("How-To` is there as `how-to`: name it so"),
        "{said}"
    );
    let [(code, said), _] = both.ran(&["docs-move", "second", "How-To/second"]);
    assert_eq!(code, Some(2), "{said}");
    let [now, _] = both.cards();
    assert_eq!(now, mac);
    // One that git does not know yet.
    for top in both.tops() {
        fs::write(top.join("docs/new.md"), "[[th\u{e9}]]\n").unwrap();
    }
    let [(code, said), _] = both.ran(&["docs-move", "new", "NEW"]);
    assert_eq!(code, Some(0), "{said}");
    let listed = both.mac.from_here().join("docs").read_dir_utf8().unwrap();
    let listed: Vec<String> = listed
        .map(|it| it.unwrap().file_name().to_owned())
        .collect();
    assert!(listed.iter().any(|name| name == "NEW.md"), "{listed:?}");
    assert!(
        !names().to_lowercase().contains("docs/new.md"),
        "{}",
        names()
    );
}

/// What a Mac lets nobody set is left out, and only that.
#[test]
fn references_are_stripped_and_other_attributes_kept() {
    let Some(mac) = MacFolder::start() else {
        return;
    };
    let reference = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-x";
    fs::write(mac.from_here().join("file"), reference).unwrap();
    let below = mac.below().join("file");
    for name in ["user.a-provenance", "user.b-kept"] {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(below.as_std_path(), name, b"value", flags).unwrap();
    }
    stdout(mac.command(program().as_str()).args(["strip-refs", "file"]));
    let text = fs::read_to_string(mac.from_here().join("FILE")).unwrap();
    assert_eq!(text, format!("/nix/store/{}-x", "e".repeat(32)));
    let get = |name: &str| {
        let mut value = [0; 8];
        rustix::fs::getxattr(below.as_std_path(), name, &mut value)
    };
    assert_eq!(get("user.b-kept"), Ok(5));
    assert!(get("user.a-provenance").is_err());
}

#[test]
fn what_the_finder_left_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(folder.path()).unwrap();
    fs::create_dir(path.join("a")).unwrap();
    fs::write(path.join("a/b"), "").unwrap();
    let hash = || run(xtask().args(["hash", path.as_str()]));
    assert_eq!(text(&hash().stderr), "");
    fs::write(path.join("a/.DS_Store"), "").unwrap();
    fs::write(path.join("a/._b"), "").unwrap();
    let said = text(&hash().stderr);
    assert!(said.contains("a/.DS_Store` (2 in all)"), "{said}");
}
