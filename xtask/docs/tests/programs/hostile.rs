//! Vaults that were made to do harm, under every command: nothing outside of them changes, nothing of them runs, and
//! nothing that they say acts on a terminal.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use crate::common::{Place, snapshot, text};

/// How many vaults are made, and how many with `XTASK_STRESS=1`.
const ROUNDS: (u64, u64) = (5, 200);

/// Numbers that look random and are the same for each seed (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[usize::try_from(self.next() % items.len() as u64).unwrap()]
    }

    fn chance(&mut self, of_ten: u64) -> bool {
        self.next() % 10 < of_ten
    }
}

/// What file names hold that a terminal, a log, a link or a path takes for something else.
const NAMES: &[&str] = &[
    "\u{1b}]52;c;aGk=\u{7}",
    "x\n::error file=a.rs::forged",
    "\u{9b}31m",
    "\u{202e}dm.",
    "\rover",
    "-rf",
    "--finish",
    "%2e%2e",
    "50%",
    "a#b",
    "a|b",
    "a^b",
    "[[a",
    "a\\b",
    "é\u{301}",
    "'\"$(touch canary)`",
    "..",
    "con",
];

/// Texts of cards; `OUT` is a path out of the vault.
const TEXTS: &[&str] = &[
    "[[\u{1b}[2J]] [[one|\u{9b}31m]] [[x\n::error::forged]]\n",
    "---\ntitle: \"\\e]0;x\\a\"\ntags: [\u{202e}x]\nmodified: \"\\n::error::x\"\n---\n# \u{1b}c\n",
    "[[OUT]] [x](OUT.md) [y](/etc/passwd) ![[OUT.md]] [[one]] [[ONE]] [[ one ]]\n",
    "[x](<a\nb>) `../x/\u{1b}` `docs/\u{7}`\n\n```sh\ncargo xtask \u{1b}[31m\n```\n",
    "---\n- a\n",
    "<!-- docs-check: off -->\n[[one]]\n",
    "---\nrequires: [one, \u{1b}x]\naliases: [\"one\", \"\u{7f}\"]\npermalink: /../../x\n---\n[[one]] [[how-to/one.md]]\n",
];

/// What links lead to.
const TARGETS: &[&str] = &[
    "../../outside/card.md",
    "../../../outside/card.md",
    "/dev/zero",
    "/dev/tty",
    "../../outside/fifo",
    ".",
    "..",
    "../../outside",
    "self.md",
    "/proc/self/mem",
    "one.md",
];

fn fifo(path: &Utf8Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

/// Writes a file in the place of what is there, which may be a link to something that never ends.
fn put(path: &Utf8Path, text: &str) {
    let _ = fs::remove_file(path);
    let _ = fs::write(path, text);
}

/// Puts something in the way at a path: a link, a FIFO, a folder or a file.
fn obstacle(random: &mut Random, path: &Utf8Path) {
    let _ = fs::create_dir_all(path.parent().unwrap());
    let _ = match random.next() % 6 {
        0 if !path.exists() => {
            fifo(path);
            Ok(())
        }
        1 => fs::create_dir_all(path),
        2 => {
            let text: &&str = random.of(TEXTS);
            put(path, text);
            Ok(())
        }
        _ => symlink(random.of(TARGETS), path),
    };
}

/// A vault, its repository and what is around it.
fn make(place: &Place, random: &mut Random) {
    let outside = place.root.join("outside");
    fs::write(
        outside.join("card.md"),
        "[[ONE]] [[how-to/one.md]]\n[x](one.md)\n",
    )
    .unwrap();
    fs::write(outside.join("keep.txt"), "keep\n").unwrap();
    fs::create_dir(outside.join("folder")).unwrap();
    fifo(&outside.join("fifo"));
    let canary = place.root.join("outside/canary");
    fs::write(
        &canary,
        format!("#!/bin/sh\necho ran >> {canary}.ran\ncat\n"),
    )
    .unwrap();
    fs::set_permissions(&canary, fs::Permissions::from_mode(0o755)).unwrap();
    place.write(&[
        ("index.md", "---\ntitle: Index\n---\n[[how-to]] [[two]]\n"),
        ("how-to/how-to.md", "- [[one]]\n"),
        (
            "how-to/one.md",
            "# One\n\n## Part\n\n[[ONE]] [[TWO]] [[ two ]]\n",
        ),
        ("two.md", "[[one#Part]] [x](how-to/one.md)\n"),
    ]);
    let vault = place.vault();
    for (number, name) in NAMES.iter().enumerate() {
        let name = format!("{name}{number}");
        let folder = random.of(&["", "how-to", "\u{1b}[1m", "a b"]);
        let path = vault.join(folder).join(format!("{name}.md"));
        let _ = fs::create_dir_all(path.parent().unwrap());
        let up = "../../outside/card";
        put(&path, &random.of(TEXTS).replace("OUT", up));
    }
    for number in 0..5 {
        let kind = random.of(&["linked", "linked.md", "how-to/linked", "how-to/linked.md"]);
        obstacle(random, &vault.join(format!("{kind}{number}")));
    }
    // To fix, to move into and onto.
    let _ = symlink("../../outside/card.md", vault.join("far.md"));
    let _ = symlink("../../outside/folder", vault.join("out"));
    let repository = place.repository();
    // All rules, so that there is something to fix.
    put(&repository.join("docs-check.toml"), "preset = 'diataxis'\n");
    for path in [
        "docs/docs-check.toml",
        "docs-check.toml",
        "docs/.docs-check-baseline",
        "docs/.docs-move/lock",
        "docs/.docs-move",
        "target",
    ] {
        if random.chance(3) {
            obstacle(random, &repository.join(path));
        }
    }
    if random.chance(5) {
        let also = "preset = 'diataxis'\nalso = ['README.md', 'x/../README.md', 'linked', 'fifo.md']\ntitle-is-heading = true\n";
        put(&repository.join("docs-check.toml"), also);
        obstacle(random, &repository.join("README.md"));
        obstacle(random, &repository.join("fifo.md"));
    }
    journals(place);
    let initialised = Command::new("git")
        .args(["-c", "init.templateDir=", "init", "--quiet"])
        .current_dir(&repository)
        .status()
        .unwrap();
    assert!(initialised.success());
    let quietly = |arguments: &[&str]| {
        place.run(
            "git",
            &[&["-c", "user.name=n", "-c", "user.email=n@x"], arguments].concat(),
        );
    };
    quietly(&["add", "--all"]);
    quietly(&["commit", "--quiet", "--message", "all"]);
    if random.chance(5) {
        quietly(&["mv", "docs/two.md", "docs/three.md"]);
        quietly(&["commit", "--quiet", "--message", "renamed"]);
        place.write(&[("two.md", "[[one#Part]]\n")]);
    }
    signed(place);
    // Racy: git has to look into the file, by its filter.
    place.write(&[(
        "how-to/one.md",
        "# One\n\n## Part\n\n[[ONE]] [[TWO]] [[ two ]]\n",
    )]);
    quietly(&["add", "docs/how-to/one.md"]);
    place.write(&[(
        "how-to/one.md",
        "# One\n\n## Part\n\n[[ONE]] [[TWO]] [[ twi ]]\n",
    )]);
    configuration(&repository, &canary);
}

/// Journals of moves in all places in which a clone could bring one.
fn journals(place: &Place) {
    let old = r#"[{"write":{"file":"0","card":"../.git/hooks/pre-commit"}},{"remove":{"card":"../../outside/keep.txt"}},{"remove":{"card":"OUTSIDE/card.md"}}]"#;
    let new = r#"{"vault":"VAULT","temporary":".x","steps":[
        {"path":"../../outside/keep.txt","before":{"text":"keep\n","mode":420},"after":null},
        {"path":"out/new","before":null,"after":{"text":"x","mode":493}},
        {"path":"../.git/hooks/pre-commit","before":null,"after":{"text":"x","mode":493}}]}"#;
    let outside = place.root.join("outside");
    let vault = place.vault();
    for folder in [
        ".docs-move",
        "../target/xtask/docs-move/0",
        "../.docs-check",
        ".xtask",
    ] {
        let folder = vault.join(folder);
        if fs::create_dir_all(&folder).is_err() {
            continue;
        }
        put(&folder.join("0"), "#!/bin/sh\n");
        put(
            &folder.join("journal"),
            &old.replace("OUTSIDE", outside.as_str()),
        );
        let new = new.replace("VAULT", vault.as_str());
        put(&folder.join("journal.json"), &new);
    }
}

/// A commit with a signature, which git would show to a program.
fn signed(place: &Place) {
    let tree = text(&place.run("git", &["write-tree"]).stdout);
    let who = "n <n@x> 1700000000 +0000";
    let signature = "-----BEGIN PGP SIGNATURE-----\n \n iHUEABYKAB0\n -----END PGP SIGNATURE-----";
    let commit = format!(
        "tree {}\nauthor {who}\ncommitter {who}\ngpgsig {signature}\n\nsigned\n",
        tree.trim()
    );
    let file = place.root.join("tmp/commit");
    fs::write(&file, commit).unwrap();
    let object = place.run("git", &["hash-object", "-t", "commit", "-w", file.as_str()]);
    fs::remove_file(file).unwrap();
    place.run("git", &["update-ref", "HEAD", text(&object.stdout).trim()]);
}

/// Names the canary for all that git can be made to start.
fn configuration(repository: &Utf8Path, canary: &Utf8Path) {
    let lines = format!(
        "[core]\nfsmonitor = {canary}\nhooksPath = {0}\npager = {canary}\nsshCommand = {canary}\neditor = {canary}\n\
         alternateRefsCommand = {canary}\n\
         [filter \"x\"]\nclean = {canary}\nsmudge = {canary}\nprocess = {canary}\nrequired = true\n\
         [diff]\nexternal = {canary}\n[diff \"x\"]\ntextconv = {canary}\ncommand = {canary}\n\
         [log]\nshowSignature = true\n[gpg]\nprogram = {canary}\n[gpg \"ssh\"]\nprogram = {canary}\n\
         [credential]\nhelper = !{canary}\n[extensions]\npartialClone = origin\n\
         [remote \"origin\"]\nurl = file:///nowhere\npromisor = true\nuploadpack = {canary}\n\
         [alias]\nls-files = !{canary}\n[protocol]\nallow = always\n[submodule]\nrecurse = true\n",
        canary.parent().unwrap()
    );
    let config = repository.join(".git/config");
    let before = fs::read_to_string(&config).unwrap();
    // What `extensions` needs.
    let before = before.replace("repositoryformatversion = 0", "repositoryformatversion = 1");
    fs::write(config, before + &lines).unwrap();
    fs::create_dir_all(repository.join(".git/info")).unwrap();
    fs::write(
        repository.join(".git/info/attributes"),
        "* filter=x diff=x\n",
    )
    .unwrap();
    for hook in ["post-index-change", "pre-commit", "fsmonitor-watchman"] {
        let hook = canary.with_file_name(hook);
        fs::copy(canary, hook).unwrap();
    }
}

/// Every command, with what makes it write.
const COMMANDS: &[&[&str]] = &[
    &["docs-check"],
    &["docs-check", "--json"],
    &["docs-check", "--format", "github"],
    &["docs-check", "--format", "sarif"],
    &["docs-check", "--staged"],
    &["docs-check", "--git", "--max-age", "1"],
    &["docs-move", "--dry-run", "one", "new-name"],
    &["docs-move", "--dry-run", "--relist", "how-to/one", "out/"],
    &["docs-move", "one", "out/one"],
    &["docs-move", "one", "out/"],
    &["docs-move", "two", "../../outside/two"],
    &["docs-move", "--finish"],
    &["docs-move", "--abort"],
    &["docs-check", "--fix", "--git"],
    &["docs-move", "--touch", "one", "how-to/new-name"],
    &["docs-move", "--extract", "new-name#Part", "part"],
    &["docs-move", "two", "index"],
    &["docs-check", "--fix"],
    &["docs-check", "--write-baseline"],
    &["docs-check"],
];

/// Whether a text holds what a terminal obeys.
fn acts(said: &str) -> bool {
    said.chars().any(|c| {
        c.is_control() && !matches!(c, '\n' | '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

#[test]
fn hostile_vaults_change_nothing_outside_and_run_nothing() {
    let is_stress = std::env::var_os("XTASK_STRESS").is_some();
    let rounds = if is_stress { ROUNDS.1 } else { ROUNDS.0 };
    let mut ends = [0_u32; 3];
    let mut is_fixed = false;
    for seed in 0..rounds {
        let place = Place::new();
        make(&place, &mut Random(seed));
        let around = || -> Vec<(Utf8PathBuf, _)> {
            let folders = ["outside", "home", "tmp"].map(|folder| place.root.join(folder));
            let folders = folders
                .into_iter()
                .chain([place.repository().join(".git/hooks")]);
            let there = folders.filter(|folder| folder.is_dir());
            there
                .map(|folder| (folder.clone(), snapshot(&folder)))
                .collect()
        };
        let before = around();
        for command in COMMANDS {
            let output = place.run(command[0], &command[1..]);
            let what = format!("seed {seed}: {command:?}");
            let (out, said) = (text(&output.stdout), text(&output.stderr));
            let code = output.status.code();
            assert!(
                matches!(code, Some(0..=2)),
                "{what}: {:?}\n{said}",
                output.status
            );
            ends[usize::try_from(code.unwrap()).unwrap()] += 1;
            is_fixed |= said.contains(" fixed\n");
            assert_eq!(around(), before, "{what}: {said}");
            // What programs read is exact.
            let machine = ["--dry-run", "--json", "sarif", "--finish", "--abort"];
            let is_exact = command.iter().any(|word| machine.contains(word));
            let shown = if is_exact {
                said.clone()
            } else {
                format!("{out}{said}")
            };
            assert!(!acts(&shown), "{what}: {shown:?}");
            let forged = |line: &str| line.starts_with("::") && !line.contains("title=");
            assert!(!shown.lines().any(forged), "{what}: {shown}");
        }
    }
    // They did something, each in its way.
    assert!(
        is_fixed && ends.iter().all(|count| *count > 0),
        "{is_fixed} {ends:?}"
    );
}
