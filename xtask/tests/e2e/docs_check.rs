//! `docs-check`: each code with a vault that has the fault and a twin that has not, and what the
//! command does around the rules: formats, baseline, mending, git.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Output};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::common::{root, run, stdout, text, xtask};

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
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .args(["-c", "user.name=n", "-c", "user.email=n@example.org"])
        .args(["-c", "commit.gpgsign=false"])
        .args(arguments)
        .envs([("GIT_AUTHOR_DATE", DAY), ("GIT_COMMITTER_DATE", DAY)]);
    stdout(&mut command)
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
