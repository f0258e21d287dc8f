//! `docs-check`: each code with a vault that has the fault and a twin that has not, and what the
//! command does around the rules: formats, baseline, fixes, git.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use test_support::common::{self, not_tested, root, rounds, run, stdout, text, xtask};

/// Where the vaults lie: a folder for each code.
const CASES: &str = "xtask/tests/cases/docs";

/// The day on which the commits of these tests were made.
const DAY: &str = "2026-03-04T12:00:00Z";

/// All codes, as the program itself lists them in its SARIF log.
fn codes() -> Vec<String> {
    let vault = format!("{CASES}/orphan/good");
    let log = stdout(xtask().args(["docs-check", "--format", "sarif", "--vault", &vault]));
    let log: Value = serde_json::from_str(&log).unwrap();
    let rules = log["runs"][0]["tool"]["driver"]["rules"]
        .as_array()
        .unwrap();
    rules
        .iter()
        .map(|rule| rule["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Checks a vault, with arguments; paths in the output are those of this repository.
fn check(vault: &Utf8Path, arguments: &[&str]) -> Output {
    run(xtask()
        .args(["docs-check", "--vault", vault.as_str()])
        .args(arguments))
}

/// Git in a folder, with a name and a day that do not depend on the machine.
fn git(folder: &Utf8Path, arguments: &[&str]) -> String {
    let days = [("GIT_AUTHOR_DATE", DAY), ("GIT_COMMITTER_DATE", DAY)];
    stdout(common::git(folder).args(arguments).envs(days))
}

/// A folder that goes when it is dropped, and its path.
fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
    (folder, path)
}

/// A copy of a case's vault, in a repository where it is committed.
fn committed(code: &str, twin: &str) -> (tempfile::TempDir, Utf8PathBuf) {
    let (guard, path) = folder();
    let from = root().join(CASES).join(code).join(twin);
    let vault = path.join("vault");
    stdout(Command::new("cp").arg("-r").arg(from).arg(&vault));
    write(&path, &[("docs-check.toml", "preset = 'diataxis'\n")]);
    git(&path, &["init", "--quiet"]);
    git(&path, &["add", "."]);
    git(&path, &["commit", "--quiet", "--message", "cards"]);
    (guard, vault)
}

/// What a case gives: stdout with the vault's folder left out, and the exit code.
fn outcome(code: &str, twin: &str) -> (String, Option<i32>) {
    let case = root().join(CASES).join(code);
    let arguments = fs::read_to_string(case.join("arguments")).unwrap_or_default();
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let (_guard, vault) = if arguments.contains(&"--git") {
        let (guard, vault) = committed(code, twin);
        (Some(guard), vault)
    } else {
        (None, case.join(twin))
    };
    let output = check(&vault, &arguments);
    let below_root = vault.strip_prefix(root()).unwrap_or(&vault);
    let mut shown = text(&output.stdout)
        .replace(&format!("{vault}/"), "")
        .replace(&format!("{below_root}/"), "");
    // How long ago a day was changes each day.
    if let Some((before, rest)) = shown.split_once("reviewed ") {
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        shown = format!("{before}reviewed N{rest}");
    }
    (shown, output.status.code())
}

#[test]
fn each_code_has_its_vaults_and_finds_exactly_what_is_expected() {
    let codes = codes();
    let there: BTreeSet<String> = root()
        .join(CASES)
        .read_dir_utf8()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_owned())
        .filter(|name| name != "docs-check.toml")
        .collect();
    assert_eq!(there, codes.iter().cloned().collect());
    let mut wrong = String::new();
    for code in &codes {
        let (found, exit) = outcome(code, "bad");
        let file = root().join(CASES).join(code).join("expected");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&file, &found).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if found != expected {
            let _ = writeln!(wrong, "{code}/bad: {found}\nexpected: {expected}");
        }
        if !found.contains(&format!(": {code}: ")) {
            let _ = writeln!(wrong, "{code}/bad does not find {code}: {found}");
        }
        let is_warning = found.lines().all(|line| line.contains(": warning: "));
        if exit != Some(i32::from(!is_warning)) {
            let _ = writeln!(wrong, "{code}/bad: exit code {exit:?}");
        }
        let (found, exit) = outcome(code, "good");
        if !found.is_empty() || exit != Some(0) {
            let _ = writeln!(wrong, "{code}/good: exit code {exit:?}: {found}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A card's text.
fn card(title: &str, body: &str) -> String {
    format!("---\ntitle: {title}\nmodified: 2026-01-02\ntags: [how-to]\n---\n# {title}\n\n{body}")
}

/// A vault with these files, in a repository of its own where they are committed.
fn vault(files: &[(&str, &str)]) -> (tempfile::TempDir, Utf8PathBuf) {
    let (guard, path) = folder();
    git(&path, &["init", "--quiet"]);
    let vault = path.join("vault");
    write(&vault, files);
    git(&path, &["add", "."]);
    git(&path, &["commit", "--quiet", "--message", "cards"]);
    (guard, vault)
}

fn write(vault: &Utf8Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = vault.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// The files of a vault without findings: an index, a landing page and two cards.
fn sound() -> Vec<(&'static str, String)> {
    let page = card("How-to", "- [[one]]\n- [[two]]\n");
    let index = card("Index", "- [[how-to]]\n").replace("[how-to]\n", "[index]\n");
    vec![
        ("docs-check.toml", "preset = 'diataxis'\n".to_owned()),
        ("index.md", index),
        ("how-to/how-to.md", page),
        ("how-to/one.md", card("One", "See [[two#Part]].\n")),
        ("how-to/two.md", card("Two", "## Part\n")),
    ]
}

/// That vault, with changes.
fn vault_with(changes: &[(&'static str, String)]) -> (tempfile::TempDir, Utf8PathBuf) {
    let mut files = sound();
    files.retain(|(path, _)| changes.iter().all(|(changed, _)| changed != path));
    files.extend_from_slice(changes);
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    vault(&files)
}

/// What is found: stdout without the vault's folder, and the exit code.
fn found(vault: &Utf8Path, arguments: &[&str]) -> (String, Option<i32>) {
    let output = check(vault, arguments);
    (
        text(&output.stdout).replace(&format!("{vault}/"), ""),
        output.status.code(),
    )
}

#[test]
fn every_format_tells_the_same() {
    let (_guard, vault) = vault_with(&[("how-to/one.md", card("One", "é [[tow]] [[two#Prat]]\n"))]);
    let (lines, code) = found(&vault, &[]);
    assert_eq!(
        lines,
        "how-to/one.md:8:3: link-unknown: there is no card `tow`: did you mean `two`?; \
         name a card that exists, or write it\n\
         how-to/one.md:8:11: anchor-unknown: two has no heading `Prat`: did you mean `Part`?; \
         name a heading of the card\n"
    );
    assert_eq!(code, Some(1));
    let path = vault.join("how-to/one.md");
    for format in [&["--format", "json"][..], &["--json"]] {
        let (json, code) = found(&vault, format);
        assert_eq!(code, Some(1));
        let rows: Vec<Value> = json
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["path"], "how-to/one.md");
        assert_eq!(
            (&rows[0]["line"], &rows[0]["column"]),
            (&8.into(), &3.into())
        );
        assert_eq!(rows[1]["code"], "anchor-unknown");
        assert!(rows[1]["message"].as_str().unwrap().contains("`Part`"));
    }
    let (sarif, code) = found(&vault, &["--format", "sarif"]);
    assert_eq!(code, Some(1));
    let sarif: Value = serde_json::from_str(&sarif).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    let place = &results[1]["locations"][0]["physicalLocation"];
    assert_eq!(place["region"]["startColumn"], 11);
    assert_eq!(place["artifactLocation"]["uri"], "how-to/one.md");
    let output = check(&vault, &["--format", "github"]);
    let begin = format!("::error file={path},line=8,col=3,title=link-unknown::there is no card");
    assert!(
        text(&output.stdout).starts_with(&begin),
        "{}",
        text(&output.stdout)
    );
    assert!(text(&output.stderr).contains("2 findings in 4 cards"));
    // Without findings machines get a whole document, too.
    let (_guard, sound) = vault_with(&[]);
    assert_eq!(
        found(&sound, &["--format", "json"]),
        (String::new(), Some(0))
    );
    let (sarif, code) = found(&sound, &["--format", "sarif"]);
    let sarif: Value = serde_json::from_str(&sarif).unwrap();
    assert_eq!(sarif["runs"][0]["results"], Value::Array(Vec::new()));
    assert_eq!(code, Some(0));
}

#[test]
fn a_path_narrows_what_is_reported() {
    let (_guard, vault) = vault_with(&[
        ("how-to/one.md", card("One", "[[nowhere]] [[two]]\n")),
        ("how-to/two.md", card("Two", "[[no-card]] [[one]]\n")),
    ]);
    let one = vault.join("how-to/one.md");
    let (lines, code) = found(&vault, &[one.as_str()]);
    assert!(
        lines.starts_with("how-to/one.md:8:1: link-unknown"),
        "{lines}"
    );
    assert_eq!((lines.lines().count(), code), (1, Some(1)));
    let folder = vault.join("how-to");
    assert_eq!(found(&vault, &[folder.as_str()]).0.lines().count(), 2);
    let index = vault.join("index.md");
    assert_eq!(found(&vault, &[index.as_str()]), (String::new(), Some(0)));
    let output = check(&vault, &["/usr"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("is outside of the vault"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn with_a_baseline_only_new_faults_are_reported() {
    let (_guard, vault) =
        vault_with(&[("how-to/one.md", card("One", "[[nowhere]] [[nowhere]]\n"))]);
    assert_eq!(found(&vault, &["--write-baseline"]).1, Some(0));
    let output = check(&vault, &[]);
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output.stderr);
    assert!(
        said.contains("0 findings in 4 cards, 2 more in the baseline"),
        "{said}"
    );
    // Lines move; a third one of the same kind is new.
    fs::write(
        vault.join("how-to/one.md"),
        card("One", "x\n\n[[nowhere]] [[nowhere]]\n\n[[nowhere]]\n"),
    )
    .unwrap();
    let (lines, code) = found(&vault, &[]);
    assert!(
        lines.starts_with("how-to/one.md:12:1: link-unknown"),
        "{lines}"
    );
    assert_eq!((lines.lines().count(), code), (1, Some(1)));
}

#[test]
fn what_is_certain_is_fixed_and_nothing_else_changes() {
    let one = card(
        "One",
        "[[TWO]], [[ two ]], [[how-to/two.md|t]], [[was-three#Part]], [[nowhere]]\r\n\r\n\
         ```console\r\n$ cargo xtask hash --help\r\nold\r\n```\r\n",
    );
    let (_guard, vault) = vault_with(&[
        ("how-to/one.md", one.clone()),
        ("how-to/was-three.md", card("Three", "## Part\n")),
        ("../xtask/Cargo.toml", String::new()),
    ]);
    git(&vault, &["mv", "how-to/was-three.md", "how-to/three.md"]);
    git(&vault, &["commit", "--quiet", "--message", "rename"]);
    fs::set_permissions(
        vault.join("how-to/one.md"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    let (lines, code) = found(&vault, &["--fix", "--git"]);
    assert_eq!(
        lines,
        "how-to/one.md:8:46: link-unknown: there is no card `nowhere`; \
         name a card that exists, or write it\n"
    );
    assert_eq!(code, Some(1));
    // The vault's repository has an xtask of its own, so the block of help is left alone.
    let today = vault::date::Date::of(std::time::SystemTime::now()).to_string();
    let fixed = one
        .replace(
            "[[TWO]], [[ two ]], [[how-to/two.md|t]]",
            "[[two]], [[two]], [[two|t]]",
        )
        .replace("was-three", "three")
        .replace("2026-01-02", &today);
    assert_eq!(
        fs::read_to_string(vault.join("how-to/one.md")).unwrap(),
        fixed
    );
    let mode = fs::metadata(vault.join("how-to/one.md"))
        .unwrap()
        .permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
        0o600
    );
    let page = fs::read_to_string(vault.join("how-to/how-to.md")).unwrap();
    assert!(
        page.ends_with("- [[one]]\n- [[two]]\n- [[three]]\n"),
        "{page}"
    );
    let output = check(&vault, &["--fix", "--git"]);
    assert!(
        !text(&output.stderr).contains("fixed"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn faults_of_one_link_are_fixed_one_after_the_other() {
    let links =
        "[[ how-to/two.md|x ]] a\n\n[[ how-to/two#Part|y]] b\n\n[[ TWO ]] c\n\n[[ two.md ]]";
    let (_guard, vault) = vault_with(&[
        ("how-to/one.md", card("One", links)),
        ("how-to/two.md", card("Two", "## Part\n")),
    ]);
    assert_eq!(found(&vault, &["--fix"]), (String::new(), Some(0)));
    let one = fs::read_to_string(vault.join("how-to/one.md")).unwrap();
    let wanted = "[[two|x ]] a\n\n[[two#Part|y]] b\n\n[[two]] c\n\n[[two]]";
    assert!(one.ends_with(wanted), "{one}");
}

#[test]
fn what_would_not_help_is_not_written() {
    let page = card("How-to", "[[one]]\n\n<!-- [[index]]\n");
    let (_guard, vault) = vault_with(&[("how-to/how-to.md", page.clone())]);
    let (lines, code) = found(&vault, &["--fix"]);
    assert!(lines.contains("how-to/two.md:1:1: not-listed"), "{lines}");
    assert_eq!(code, Some(1));
    let now = fs::read_to_string(vault.join("how-to/how-to.md")).unwrap();
    assert_eq!(now, page);
}

#[test]
fn only_what_is_named_is_fixed_and_links_stay_links() {
    let (_guard, vault) = vault_with(&[
        ("how-to/one.md", card("One", "[[TWO]]\n")),
        ("how-to/two.md", card("Two", "[[ONE]]\n")),
    ]);
    fs_err::os::unix::fs::symlink("one.md", vault.join("how-to/uno.md")).unwrap();
    let two = vault.join("how-to/two.md");
    let before = fs::read_to_string(&two).unwrap();
    check(&vault, &["--fix", vault.join("how-to/uno.md").as_str()]);
    assert_eq!(fs::read_to_string(&two).unwrap(), before);
    let one = fs::read_to_string(vault.join("how-to/one.md")).unwrap();
    assert!(one.contains("[[two]]"), "{one}");
    assert!(vault.join("how-to/uno.md").is_symlink());
}

#[test]
fn paths_and_commands_of_a_repository_elsewhere() {
    let words = "`src/here.rs` `src/here.rs:3` `src/nope.rs` `src/nope.rs:3` `../src/no.rs`\n\n\
                 ```sh\nmake && cargo xtask nonsense\ncargo xtask docs-check \\\n  --nonsense\n```\n";
    let (_guard, vault) = vault_with(&[
        ("how-to/one.md", card("One", words)),
        ("../src/here.rs", String::new()),
    ]);
    let (lines, _) = found(&vault, &[]);
    let wanted = "how-to/one.md:8:31: path-unknown: there is no `src/nope.rs` in the repository; name a path that exists\n\
                  how-to/one.md:8:45: path-unknown: there is no `src/nope.rs:3` in the repository; name a path that exists\n\
                  how-to/one.md:11:1: command-invalid: `make && cargo xtask nonsense`: unrecognized subcommand 'nonsense'; \
                  write a command that runs\n\
                  how-to/one.md:12:1: command-invalid: `cargo xtask docs-check --nonsense`: unexpected argument '--nonsense' found; \
                  write a command that runs\n";
    assert!(lines.starts_with(wanted), "{lines}");
    // A repository with tasks of its own is not checked against these.
    write(&vault, &[("../xtask/Cargo.toml", "")]);
    assert!(!found(&vault, &[]).0.contains("command-invalid"));
}

#[test]
fn what_is_only_announced_to_git_is_not_staged() {
    let (_guard, vault) = vault_with(&[("how-to/one.md", card("One", "[[three]]\n"))]);
    write(&vault, &[("how-to/three.md", &card("Three", ""))]);
    git(&vault, &["add", "--intent-to-add", "how-to/three.md"]);
    let (lines, _) = found(&vault, &["--staged"]);
    assert!(lines.contains("one.md:8:1: link-unknown"), "{lines}");
    git(&vault, &["add", "how-to/three.md"]);
    let (lines, _) = found(&vault, &["--staged"]);
    assert!(!lines.contains("link-unknown"), "{lines}");
    // Two changes of one line.
    git(&vault, &["commit", "--quiet", "--message", "three"]);
    git(&vault, &["checkout", "--quiet", "-b", "other", "HEAD~1"]);
    write(&vault, &[("how-to/three.md", &card("Another", ""))]);
    git(&vault, &["add", "."]);
    git(&vault, &["commit", "--quiet", "--message", "another"]);
    run(common::git(&vault).args(["merge", "--quiet", "-"]));
    let output = check(&vault, &["--staged"]);
    let said = text(&output.stderr);
    assert!(said.contains("three.md` has conflicts"), "{said}");
}

#[test]
fn help_in_a_card_is_updated() {
    let folder = tempfile::tempdir_in(root().join("target")).unwrap();
    let vault = Utf8Path::from_path(folder.path()).unwrap();
    let files = sound();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    write(vault, &files);
    let shown = "```console\n$ cargo xtask hash --help\nold\n```\n\n[[two]]\n";
    write(vault, &[("how-to/one.md", &card("One", shown))]);
    let (lines, _) = found(vault, &[]);
    assert!(lines.contains("one.md:9:3: help-stale"), "{lines}");
    check(vault, &["--fix"]);
    let printed = stdout(xtask().args(["hash", "--help"]));
    let fixed = fs::read_to_string(vault.join("how-to/one.md")).unwrap();
    let wanted = shown.replace("old\n", &printed);
    assert!(fixed.ends_with(&wanted), "{fixed}");
    assert_eq!(check(vault, &[]).status.code(), Some(0));
    // A block without output, and another one behind it.
    let empty = "```console\n$ cargo xtask hash --help\n```\n\n[[two]]\n\n```sh\nls\n```\n";
    write(vault, &[("how-to/one.md", &card("One", empty))]);
    check(vault, &["--fix"]);
    let fixed = fs::read_to_string(vault.join("how-to/one.md")).unwrap();
    let wanted = empty.replace("--help\n", &format!("--help\n{printed}"));
    assert!(fixed.ends_with(&wanted), "{fixed}");
}

/// What is found in a vault with an `also` file, which is beside it, from the repository's root.
fn found_beside(vault: &Utf8Path, arguments: &[&str]) -> (String, Option<i32>) {
    let output = check(vault, arguments);
    let root = vault.parent().unwrap();
    let lines = text(&output.stdout).replace(&format!("{root}/"), "");
    (lines, output.status.code())
}

#[test]
fn files_beside_the_vault_are_checked_as_well() {
    let good = "# Read me\n\n[one](vault/how-to/one.md#part) [me](#read-me) [src](src/)\n\
                [more](sub/MORE.md#more) `src/here.rs`\n\n```sh\ncargo xtask hash .\n```\n";
    let (_guard, vault) = vault_with(&[
        (
            "docs-check.toml",
            "preset = 'diataxis'\nalso = ['README.md', 'sub/MORE.md']".to_owned(),
        ),
        (
            "how-to/one.md",
            card("One", "## Part\n[r](../../README.md#read-me)\n"),
        ),
        ("../src/here.rs", String::new()),
        ("../README.md", good.to_owned()),
        (
            "../sub/MORE.md",
            "# More\n[back](../README.md#read-me)\n".to_owned(),
        ),
    ]);
    assert_eq!(found_beside(&vault, &[]), (String::new(), Some(0)));
    assert_eq!(
        found_beside(&vault, &["--staged"]),
        (String::new(), Some(0))
    );
    let bad = "[one](vault/how-to/one.md#prt) [x](vault/none.md) [two](two.md) [me](#me)\n\
               [more](sub/MORE.md#mre) `src/nope.rs`\n\n```sh\ncargo xtask hsh .\n```\n";
    write(&vault, &[("../README.md", bad)]);
    let (lines, code) = found_beside(&vault, &[]);
    let codes: Vec<&str> = lines
        .lines()
        .map(|line| line.rsplit_once("; ").unwrap().0)
        .collect();
    assert_eq!(
        codes,
        [
            "README.md:1:1: anchor-unknown: one has no heading `prt`: did you mean `part`?",
            "README.md:1:32: file-unknown: there is no file `vault/none.md`",
            "README.md:1:51: file-unknown: there is no file `two.md`",
            "README.md:1:65: anchor-unknown: this file has no heading `me`",
            "README.md:2:1: anchor-unknown: MORE has no heading `mre`: did you mean `more`?",
            "README.md:2:25: path-unknown: there is no `src/nope.rs` in the repository",
            "README.md:5:1: command-invalid: `cargo xtask hsh .`: unrecognized subcommand 'hsh'",
            "sub/MORE.md:2:1: anchor-unknown: README has no heading `read-me`",
            "vault/how-to/one.md:9:1: anchor-unknown: README has no heading `read-me`",
        ],
    );
    assert_eq!(code, Some(1));
    // What is named is reported alone; what is staged counts.
    let named = vault.parent().unwrap().join("README.md");
    assert_eq!(found_beside(&vault, &[named.as_str()]).0.lines().count(), 7);
    assert_eq!(
        found_beside(&vault, &["--staged"]),
        (String::new(), Some(0))
    );
    git(&vault, &["add", "../README.md"]);
    write(&vault, &[("../README.md", good)]);
    assert_eq!(found_beside(&vault, &["--staged"]).0, lines);
    // A file that is listed has to be there.
    fs::remove_file(named).unwrap();
    let (lines, _) = found_beside(&vault, &[]);
    assert!(lines.contains("README.md:1:1: not-readable: "), "{lines}");
}

#[test]
fn staged_cards_are_checked_not_those_of_the_working_tree() {
    let (_guard, vault) = vault_with(&[]);
    let one = vault.join("how-to/one.md");
    // Staged broken, fixed since.
    fs::write(&one, card("One", "[[nowhere]]\n")).unwrap();
    git(&vault, &["add", "."]);
    fs::write(&one, card("One", "[[two]]\n")).unwrap();
    let (lines, code) = found(&vault, &["--staged"]);
    assert!(
        lines.starts_with("how-to/one.md:8:1: link-unknown"),
        "{lines}"
    );
    assert_eq!((lines.lines().count(), code), (1, Some(1)));
    // Staged sound, broken since; a card that is not staged is no card.
    git(&vault, &["add", "."]);
    fs::write(&one, card("One", "[[nowhere]]\n")).unwrap();
    fs::write(vault.join("how-to/new.md"), "no front matter").unwrap();
    assert_eq!(found(&vault, &["--staged"]), (String::new(), Some(0)));
    assert_eq!(found(&vault, &[]).1, Some(1));
    // Staged as removed, but still there.
    git(&vault, &["checkout", "--quiet", "how-to/one.md"]);
    git(&vault, &["rm", "--quiet", "--cached", "how-to/two.md"]);
    let (lines, _) = found(&vault, &["--staged"]);
    assert!(
        lines.contains("how-to/one.md:8:1: link-unknown: there is no card `two`"),
        "{lines}"
    );
    assert!(
        lines.contains("how-to/how-to.md:9:3: link-unknown"),
        "{lines}"
    );
    // The rules are the staged ones as well.
    git(&vault, &["add", "how-to/two.md"]);
    fs::write(
        vault.join("docs-check.toml"),
        "preset = 'diataxis'\ntags = ['index']\n",
    )
    .unwrap();
    assert_eq!(found(&vault, &["--staged"]).1, Some(0));
    git(&vault, &["add", "docs-check.toml"]);
    fs::remove_file(vault.join("docs-check.toml")).unwrap();
    assert!(found(&vault, &["--staged"]).0.contains("tag-unknown"));
}

#[test]
fn in_a_shallow_clone_dates_are_not_compared_and_it_is_said() {
    let (_guard, vault) = vault_with(&[]);
    git(
        &vault,
        &["commit", "--quiet", "--allow-empty", "--message", "more"],
    );
    let (lines, code) = found(&vault, &["--git"]);
    assert!(
        lines
            .contains("date-stale: `modified: 2026-01-02`, but the card was changed on 2026-03-04"),
        "{lines}"
    );
    assert_eq!(code, Some(1));
    let (_clone, place) = folder();
    let from = format!("file://{}", vault.parent().unwrap());
    git(
        &place,
        &["clone", "--quiet", "--depth", "1", &from, "clone"],
    );
    let output = check(&place.join("clone/vault"), &["--git"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        text(&output.stderr).contains("NOT CHECKED"),
        "{}",
        text(&output.stderr)
    );
    let (_guard, plain) = folder();
    let sound: Vec<(&str, String)> = sound();
    let files: Vec<(&str, &str)> = sound
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    write(&plain, &files);
    let output = check(&plain, &["--git"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("not a git repository"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn our_own_cards_pass_with_all_rules_on() {
    let output = run(xtask().args(["docs-check", "--git"]));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let rules = fs::read_to_string(root().join("docs/docs-check.toml")).unwrap();
    assert!(!rules.contains("off ="), "a rule is off");
    let cards = root().join("docs/reference");
    let card = fs::read_to_string(cards.join("xtask.md")).unwrap();
    let help = stdout(xtask().arg("--help"));
    let commands = help.split("Commands:\n").nth(1).unwrap();
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let mut count = 0;
    for command in commands.map(|line| line.split_whitespace().next().unwrap()) {
        let block = format!("\n## {command}\n\n```console\n$ cargo xtask {command} --help\n");
        assert!(
            command == "help" || card.contains(&block),
            "`{command}` has no part in xtask.md"
        );
        count += 1;
    }
    assert!(count > 8);
    let card = fs::read_to_string(cards.join("docs-check.md")).unwrap();
    let log = stdout(xtask().args(["docs-check", "--format", "sarif"]));
    let log: Value = serde_json::from_str(&log).unwrap();
    for rule in log["runs"][0]["tool"]["driver"]["rules"]
        .as_array()
        .unwrap()
    {
        let word = |value: &Value| value.as_str().unwrap().replace('|', "\\|");
        let (id, what) = (word(&rule["id"]), word(&rule["shortDescription"]["text"]));
        let row = format!("| `{id}` | {what} | {} |\n", word(&rule["help"]["text"]));
        assert!(card.contains(&row), "docs-check.md lacks the row\n{row}");
    }
}

#[test]
fn bad_cards_are_found_and_the_others_are_checked() {
    let bomb: String = (1..40)
        .map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1))
        .collect();
    let (_guard, vault) = vault_with(&[
        (
            "how-to/how-to.md",
            card(
                "How-to",
                "[[one]] [[two]] [[bom]] [[list]] [[twice]] [[bomb]] [[fence]] [[comment]] [[hidden]] [[endless]] [[dates]] [[latin]]\n",
            ),
        ),
        (
            "how-to/bom.md",
            format!("\u{feff}{}", card("Bom", "[[one]]\n").replace('\n', "\r\n")),
        ),
        ("how-to/list.md", "---\n- a\n- b\n---\n".to_owned()),
        (
            "how-to/twice.md",
            card("Twice", "").replace("title:", "title: x\ntitle:"),
        ),
        (
            "how-to/bomb.md",
            card("Bomb", "").replace("tags:", &format!("a0: &a0 [x, x]\n{bomb}tags:")),
        ),
        ("how-to/fence.md", card("Fence", "```\n[[nowhere]]\n")),
        ("how-to/comment.md", card("Comment", "<!-- [[nowhere]]\n")),
        ("how-to/hidden.md", card("Hidden", "%%\n[[nowhere]]\n")),
        ("how-to/endless.md", "---\ntitle: x\n".to_owned()),
        (
            "how-to/dates.md",
            card("Dates", "").replace("2026-01-02", "2026-13-45"),
        ),
    ]);
    fs::write(vault.join("how-to/latin.md"), b"---\ntitle: caf\xe9\n---\n").unwrap();
    std::os::unix::fs::symlink("..", vault.join("how-to/loop")).unwrap();
    std::os::unix::fs::symlink("self.md", vault.join("how-to/self.md")).unwrap();
    let (lines, code) = found(&vault, &[]);
    let codes: Vec<(&str, &str)> = lines
        .lines()
        .map(|line| {
            let mut parts = line.split(": ");
            let place = parts.next().unwrap();
            (place, parts.next().unwrap())
        })
        .filter(|(_, code)| *code != "link-unknown")
        .collect();
    assert_eq!(
        codes,
        [
            ("how-to/comment.md:8:1", "comment-open"),
            ("how-to/dates.md:3:11", "date-invalid"),
            ("how-to/endless.md:1:1", "front-matter-invalid"),
            ("how-to/fence.md:8:1", "fence-open"),
            ("how-to/hidden.md:8:1", "comment-open"),
            ("how-to/latin.md:1:1", "not-readable"),
            ("how-to/list.md:2:1", "front-matter-invalid"),
            ("how-to/self.md:1:1", "not-readable"),
            ("how-to/self.md:1:1", "not-listed"),
            ("how-to/self.md:1:1", "orphan"),
            ("how-to/twice.md:3:1", "key-duplicate"),
        ],
        "{lines}"
    );
    assert_eq!(code, Some(1));
    assert!(
        lines.contains("line 2 is not UTF-8; save the file as UTF-8 text"),
        "{lines}"
    );
}

#[test]
fn names_that_differ_in_case_are_found() {
    let (_guard, vault) = vault_with(&[("how-to/Two.md", card("Two", "[[one]]\n"))]);
    let (lines, _) = found(&vault, &[]);
    for code in ["stem-case", "name-not-kebab"] {
        assert!(lines.contains(code), "{lines}");
    }
}

#[test]
fn what_can_not_be_read_is_an_error_that_names_it() {
    use std::os::unix::ffi::OsStrExt as _;
    let refused = |vault: &Utf8Path, arguments: &[&str], words: &[&str]| {
        let output = check(vault, arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for word in words {
            assert!(said.contains(word), "{said}");
        }
    };
    let (_guard, place) = folder();
    refused(
        &place.join("none"),
        &[],
        &["looking for the vault", "`--vault DIR`"],
    );
    fs::write(place.join("file"), "x").unwrap();
    refused(&place.join("file"), &[], &["there is no folder"]);
    fs::write(place.join("docs-check.toml"), "tags = [").unwrap();
    refused(&place, &[], &["docs-check.toml", "line 1"]);
    fs::write(place.join("docs-check.toml"), "title-is-heading = 1").unwrap();
    refused(&place, &[], &["docs-check.toml", "`true` or `false`"]);
    fs::remove_file(place.join("docs-check.toml")).unwrap();
    let name = std::ffi::OsStr::from_bytes(b"a\xff.md");
    // One bad name is a finding, and the rest is checked.
    fs::write(place.as_std_path().join(name), "x").unwrap();
    fs::write(place.join("good.md"), "[[none]]\n").unwrap();
    let (lines, code) = found(&place, &[]);
    assert!(
        lines.contains("a\u{fffd}.md:1:1: not-readable: the name is not UTF-8: rename the file"),
        "{lines}"
    );
    assert!(lines.contains("good.md:1:1: link-unknown"), "{lines}");
    assert_eq!(code, Some(1));
}

/// A user who is not root meets files that can't be read.
#[test]
fn an_unreadable_card_or_folder_is_a_finding() {
    let (_guard, vault) = vault_with(&[]);
    let nobody = || {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .current_dir(root());
        command
    };
    // This repository itself may lie where nobody may look.
    let looks = run(nobody()
        .args(["sh", "-c", "test -r \"$1\"", "sh"])
        .arg(root().join("README.md")));
    if !looks.status.success() {
        not_tested(&format!("another user can't reach {}", root()));
        return;
    }
    let as_nobody = || {
        let mut command = nobody();
        command.arg(env!("CARGO_BIN_EXE_xtask"));
        run(command.args(["docs-check", "--vault", vault.as_str()]))
    };
    let mode = |path: &str, mode: u32| {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(vault.join(path), permissions).unwrap();
    };
    for path in ["..", ".", "how-to"] {
        mode(path, 0o755);
    }
    mode("how-to/two.md", 0o000);
    let output = as_nobody();
    let lines = text(&output.stdout);
    assert!(
        lines.contains("how-to/two.md:1:1: not-readable") && lines.contains("Permission denied"),
        "{lines}"
    );
    mode("how-to", 0o000);
    let output = as_nobody();
    assert_eq!(output.status.code(), Some(1));
    let lines = text(&output.stdout);
    assert!(
        lines.contains("how-to:1:1: not-readable: the folder can't be read"),
        "{lines}"
    );
    mode("how-to", 0o755);
}

#[test]
fn a_large_card_and_very_many_cards_are_read() {
    let (_guard, vault) = vault_with(&[]);
    // Each would take minutes if work grew with its square: 50 MB of one line.
    let long = "[[two]] `a` %% [[two]] %% ".repeat(50_000_000 / 26);
    fs::write(vault.join("how-to/one.md"), card("One", &long)).unwrap();
    assert_eq!(found(&vault, &[]), (String::new(), Some(0)));
    fs::write(
        vault.join("how-to/one.md"),
        card("One", &"[[".repeat(25_000_000)),
    )
    .unwrap();
    assert_eq!(found(&vault, &[]).1, Some(0));
    fs::write(vault.join("how-to/one.md"), card("One", "[[two]]\n")).unwrap();
    let folders = rounds(10, 100);
    for folder in 0..folders {
        let folder = vault.join(format!("more/{folder}"));
        fs::create_dir_all(&folder).unwrap();
        for number in 0..1000 {
            let name = format!("{}-{number}", folder.file_name().unwrap());
            fs::write(
                folder.join(format!("c-{name}.md")),
                card(&name, "[[two]]\n"),
            )
            .unwrap();
        }
    }
    let output = check(&vault, &[]);
    let cards = folders as usize * 1000;
    assert_eq!(text(&output.stdout).matches(": orphan: ").count(), cards);
    // No link leads to them, and they do not lie where their tag says.
    assert!(
        text(&output.stderr).contains(&format!("{} findings in {} cards", 2 * cards, cards + 4)),
        "{}",
        text(&output.stderr)
    );
}

/// Somebody holds the program up who is no process of its own: here, who reads nothing of what it prints.
#[test]
fn a_second_ctrl_c_ends_the_program_whatever_holds_it_up() {
    let (_guard, path) = folder();
    let links: String = (0..5000).map(|n| format!("[[none-{n}]]\n")).collect();
    write(&path, &[("a.md", &links)]);
    let mut command = xtask();
    command.args(["docs-check", "--vault", path.as_str()]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let process = Pid::from_child(&child);
    // It began to say what it found, and nobody reads on.
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let second = Duration::from_secs(1);
    kill_process(process, Signal::INT).unwrap();
    std::thread::sleep(second);
    assert_eq!(child.try_wait().unwrap(), None);
    kill_process(process, Signal::INT).unwrap();
    let start = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if start.elapsed() > 60 * second {
            child.kill().unwrap();
        }
        std::thread::sleep(second / 50);
    };
    assert_eq!(code, Some(130));
}
