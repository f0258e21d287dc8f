//! `docs-move`: the six steps of a reorganisation, what a diff shows, what is refused, and what is left
//! when it is killed.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use test_support::common::{git, root, rounds, run, stdout, text, xtask};
use test_support::harness::in_mounts;

const CASES: &str = "xtask/tests/cases/docs-move";

/// A folder that goes when it is dropped, with a copy of the sample vault in it.
fn vault() -> (tempfile::TempDir, Utf8PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(folder.path().join("vault")).unwrap();
    let before = root().join(CASES).join("before");
    stdout(Command::new("cp").arg("-r").arg(before).arg(&path));
    (folder, path)
}

/// All files below a folder, by their paths in it.
fn files(folder: &Utf8Path) -> BTreeMap<String, Vec<u8>> {
    let listed =
        stdout(Command::new("find").args([folder.as_str(), "-type", "f", "-printf", "%P\\n"]));
    let read = |path: &str| (path.to_owned(), fs::read(folder.join(path)).unwrap());
    listed.lines().map(read).collect()
}

fn docs_move(vault: &Utf8Path, arguments: &[&str]) -> String {
    stdout(
        xtask()
            .args(["docs-move", "--vault", vault.as_str()])
            .args(arguments),
    )
}

/// The six steps.
const STEPS: &[&[&str]] = &[
    // Four cards become one,
    &["python-backend", "web-ui", "go-server", "api-clients"],
    &["api-clients", "build-components"],
    // two become one,
    &["grafana-sidecar", "grafana-image"],
    // two change their category,
    &["--relist", "expose-service", "tutorials/"],
    &[
        "--relist",
        "how-to/../reference/change-process.md",
        "explanation/change-process",
    ],
    // a section becomes a card. Links follow at each step.
    &[
        "--relist",
        "--extract",
        "caddy#Custom build",
        "how-to/build-caddy",
    ],
];

#[test]
fn a_reorganisation_in_six_steps_leaves_no_finding() {
    let (_guard, vault) = vault();
    for step in STEPS {
        docs_move(&vault, step);
        let findings = run(xtask().args(["docs-check", "--vault", vault.as_str()]));
        assert_eq!(text(&findings.stdout), "", "{step:?}");
    }
    let expected = root().join(CASES).join("after");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        stdout(Command::new("rm").arg("-rf").arg(&expected));
        stdout(Command::new("cp").arg("-r").arg(&vault).arg(&expected));
    }
    let as_text = |files: BTreeMap<String, Vec<u8>>| -> BTreeMap<String, String> {
        files
            .into_iter()
            .map(|(path, bytes)| (path, text(&bytes)))
            .collect()
    };
    assert_eq!(as_text(files(&vault)), as_text(files(&expected)));
}

#[test]
fn a_dry_run_shows_a_diff_that_does_the_same_and_changes_nothing() {
    for step in STEPS.iter().take(1).chain(STEPS.iter().skip(2)) {
        let (_guard, vault) = vault();
        let before = files(&vault);
        let dry: Vec<&str> = step.iter().copied().chain(["--dry-run"]).collect();
        let diff = run(xtask()
            .args(["docs-move", "--vault", vault.as_str()])
            .args(&dry))
        .stdout;
        assert_eq!(files(&vault), before);
        let patch = vault.parent().unwrap().join("patch");
        fs::write(&patch, diff).unwrap();
        let (_other_guard, other) = self::vault();
        stdout(git(&other).args(["apply", patch.as_str()]));
        docs_move(&vault, step);
        assert!(files(&other) == files(&vault), "{step:?}");
    }
}

#[test]
fn a_rename_there_and_back_gives_the_first_bytes() {
    let (_guard, vault) = vault();
    let before = files(&vault);
    for (card, new) in [
        ("caddy", "explanation/other"),
        ("go-server", "x/y/z"),
        ("index", "start"),
    ] {
        docs_move(&vault, &[card, new]);
        assert_ne!(files(&vault), before);
        let stem = new.rsplit('/').next().unwrap();
        let old = before
            .keys()
            .find(|path| path.ends_with(&format!("{card}.md")))
            .unwrap();
        docs_move(&vault, &[stem, &format!("{vault}/{old}")]);
        assert_eq!(files(&vault), before);
        assert!(!vault.join("x").exists());
    }
}

#[test]
fn what_is_changed_is_told() {
    let (_guard, vault) = vault();
    let output = run(xtask()
        .args(["docs-move", "--vault", vault.as_str(), "--json", "--touch"])
        .args(["go-server", "reference/"]));
    let rows: Vec<serde_json::Value> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let row = |row: &serde_json::Value| {
        let name = |key: &str| Some(row[key].as_str()?.strip_prefix(vault.as_str())?.to_owned());
        (
            name("path").unwrap(),
            name("from"),
            row["action"].as_str().unwrap().to_owned(),
        )
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    let moved = (
        "/reference/go-server.md".to_owned(),
        Some("/how-to/go-server.md".to_owned()),
        "moved".to_owned(),
    );
    assert_eq!(rows, [moved]);
    let today = stdout(Command::new("date").args(["-u", "+%F"]));
    let card = fs::read_to_string(vault.join("reference/go-server.md")).unwrap();
    assert!(card.contains(&format!("modified: {today}")), "{card}");
    let said = text(&output.stderr);
    assert!(
        said.contains("go-server.md -> ") && said.contains("1 card written"),
        "{said}"
    );
}

#[test]
fn what_can_not_be_done_is_refused_and_changes_nothing() {
    let (_guard, vault) = vault();
    let before = files(&vault);
    for (arguments, error) in [
        (
            &["go-serve", "x"][..],
            "there is no card `go-serve`: did you mean `go-server`?",
        ),
        (&["go-server"], "name the card and its new name"),
        (&["go-server", "../x"], "is outside of the vault"),
        (
            &["go-server", "web-ui", "neither"],
            "neither a card that could take in several nor a folder",
        ),
        (
            &["go-server", "reference/web-ui"],
            "the stem `web-ui` is taken by `how-to/web-ui.md`",
        ),
        (&["go-server", "a#b"], "no link could name `how-to/a#b.md`"),
        (&["--extract", "caddy", "x"], "names no heading"),
        (
            &["--extract", "caddy#Nonsense", "x"],
            "it has `Caddy`, `Custom build`, `Check`, `Token`",
        ),
        (&["--extract", "caddy#Caddy", "x"], "is the card's title"),
    ] {
        let output = run(xtask()
            .args(["docs-move", "--vault", vault.as_str()])
            .args(arguments));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(error), "{arguments:?}: {said}");
        assert_eq!(files(&vault), before);
    }
    fs::write(vault.join("how-to/bad.md"), b"\xff [[Go-Server]]").unwrap();
    let output = run(xtask().args(["docs-move", "--vault", vault.as_str(), "go-server", "x"]));
    assert!(text(&output.stderr).contains("`how-to/bad.md` can't be read"));
    // One that can't hold a link to it is in nobody's way.
    fs::write(vault.join("how-to/bad.md"), b"\xff [[web-ui]]").unwrap();
    docs_move(&vault, &["go-server", "x"]);
    docs_move(&vault, &["x", "go-server"]);
    fs::remove_file(vault.join("how-to/bad.md")).unwrap();
    assert_eq!(files(&vault), before);
}

#[test]
fn symbolic_links_stay_what_they_are() {
    let (_guard, vault) = vault();
    let link = |to: &str, name: &str| fs_err::os::unix::fs::symlink(to, vault.join(name)).unwrap();
    link("go-server.md", "how-to/same.md");
    docs_move(&vault, &["web-ui", "web-pages"]);
    assert!(vault.join("how-to/same.md").is_symlink());
    for (new, why) in [
        ("other", "`how-to/same.md` is a symbolic link to"),
        ("reference/same", "the stem of the symbolic link"),
    ] {
        let old = if new == "other" { "go-server" } else { "caddy" };
        let output = run(xtask().args(["docs-move", "--vault", vault.as_str(), old, new]));
        assert!(
            text(&output.stderr).contains(why),
            "{}",
            text(&output.stderr)
        );
    }
    // One that leads out of the vault would change, and is left alone.
    let outside = vault.parent().unwrap().join("outside.md");
    fs::write(&outside, "[[web-pages]]").unwrap();
    link(outside.as_str(), "how-to/far.md");
    let before = files(&vault);
    let output = run(xtask().args(["docs-move", "--vault", vault.as_str(), "web-pages", "x"]));
    let said = text(&output.stderr);
    assert!(
        said.contains("`how-to/far.md` is a symbolic link out of the vault"),
        "{said}"
    );
    assert_eq!(files(&vault), before);
}

/// Nothing can be renamed from one file system to another.
#[test]
fn a_folder_on_another_file_system_is_no_destination() {
    let (_guard, vault) = vault();
    let other = vault.join("other");
    fs::create_dir(&other).unwrap();
    fs::write(vault.join("picture.png"), "x").unwrap();
    let before = files(&vault);
    for file in ["go-server", "picture.png"] {
        let mut command = xtask();
        command.args(["docs-move", "--vault", vault.as_str(), file, "other/"]);
        let mount = format!("mount -t tmpfs none {other}; exec \"$@\"");
        let Some(output) = in_mounts(&mount, &command) else {
            return;
        };
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{file}: {said}");
        assert!(
            said.contains(&format!("`{other}` is on another file system")),
            "{file}: {said}"
        );
        assert_eq!(files(&vault), before);
    }
    docs_move(&vault, &["go-server", "other/"]);
}

/// A vault of so many cards, each of which links the first one.
fn large(vault: &Utf8Path, cards: usize) {
    fs::create_dir_all(vault).unwrap();
    for card in 0..cards {
        let body = format!(
            "---\ntitle: Card {card}\n---\n\n# Card {card}\n\n[[card-0]] [x](card-0.md#card-0)\n"
        );
        fs::write(vault.join(format!("card-{card}.md")), body).unwrap();
    }
}

#[test]
fn killed_at_any_moment_all_cards_are_old_or_all_are_new() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let vault = folder.join("vault");
    large(&vault, 150);
    let old = files(&vault);
    let start = Instant::now();
    docs_move(&vault, &["card-0", "other"]);
    let mut latest = start.elapsed();
    let new = files(&vault);
    let (mut ends, mut interrupted) = ([0, 0], 0);
    let (mut round, wanted) = (0, rounds(8, 40));
    // Again and again from at once to when it should have ended, later where the machine has become slower, until both
    // were seen.
    while round < wanted || ends.contains(&0) && round < 10 * wanted {
        let step = round % 8;
        let delay = latest * step / 7 + Duration::from_micros(300);
        fs::remove_dir_all(&vault).unwrap();
        fs::create_dir(&vault).unwrap();
        for (path, bytes) in &old {
            fs::write(vault.join(path), bytes).unwrap();
        }
        let mut child = xtask()
            .args(["docs-move", "--vault", vault.as_str(), "card-0", "other"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(delay);
        child.kill().unwrap();
        child.wait().unwrap();
        let check = run(xtask().args(["docs-check", "--vault", vault.as_str()]));
        if check.status.code() == Some(2) {
            interrupted += 1;
            assert!(text(&check.stderr).contains("docs-move --finish"));
        }
        let end = if round % 2 == 0 {
            "--finish"
        } else {
            "--abort"
        };
        docs_move(&vault, &[end]);
        let now = files(&vault);
        assert!(now == old || now == new, "round {round}");
        ends[usize::from(now == new)] += 1;
        if step == 7 && now == old {
            latest *= 2;
        }
        round += 1;
    }
    assert!(
        ends[0] > 0 && ends[1] > 0,
        "{ends:?}, {interrupted} interrupted"
    );
}
