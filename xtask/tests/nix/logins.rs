//! Logins reach the builds that name their client, and nobody else: no other build, no other user, no file.

use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use test_support::common::{is_root_to, text, wait_until};
use test_support::harness::Harness;
use test_support::spy::Spy;

/// A word that is nowhere else, and a pattern for it that does not match itself.
const SECRET: &str = "hush-5f1c7a";
const PATTERN: &str = "hush-5f1c7[a]";

/// Each client's derivation shows what it sees of all settings, and so do a fixed output of no client and an
/// ordinary one, which also look for files.
const COMPONENTS: &str = r#"
  look = ''
    for variable in FETCH_NPMRC FETCH_PIP_CONF FETCH_GO_ENV FETCH_CARGO_CONFIG FETCH_GITCONFIG https_proxy; do
      [ -z "''${!variable:-}" ] || echo "sees $variable"
    done
    grep -rs "hush-5f1c7[a]" /host/clients /proc/self/mountinfo /build /tmp /dev/shm && echo found
    sleep 1.5
    exit 1
  '';
  client = name: variable: sh name { outputHashMode = "recursive"; outputHashAlgo = "sha256"; outputHash = wrong;
    impureEnvVars = variable; } look;
  npm = client "npm" [ "FETCH_NPMRC" ];
  pip = client "pip" [ "FETCH_PIP_CONF" ];
  cargo = client "cargo" [ "FETCH_CARGO_CONFIG" ];
  git = client "git" [ "FETCH_GITCONFIG" "https_proxy" ];
  none = client "none" [ ];
  ordinary = sh "ordinary" { impureEnvVars = [ "FETCH_NPMRC" "FETCH_PIP_CONF" "https_proxy" ]; } look;
"#;

/// What each sees.
const SEEN: [(&str, &[&str]); 6] = [
    ("npm", &["FETCH_NPMRC"]),
    ("pip", &["FETCH_PIP_CONF"]),
    ("cargo", &["FETCH_CARGO_CONFIG"]),
    ("git", &["FETCH_GITCONFIG", "https_proxy"]),
    ("none", &[]),
    ("ordinary", &[]),
];

struct Machine {
    harness: Harness,
    home: Utf8PathBuf,
    temporary: Utf8PathBuf,
    spy: Option<Spy>,
}

impl Machine {
    /// With logins for each client, and a user who looks for them.
    fn new() -> Self {
        let harness = Harness::new("");
        let root = harness.root();
        let (home, temporary) = (root.join("home"), root.join("tmp"));
        fs_err::create_dir(&temporary).unwrap();
        harness.container("authentik", COMPONENTS);
        for (file, line) in [
            (".npmrc", "//r.example/:_authToken=SECRET"),
            (
                ".config/pip/pip.conf",
                "[global]\nindex-url = https://u:SECRET@i.example/simple",
            ),
            (".cargo/config.toml", "[registries.a]\ntoken = \"SECRET\""),
            (
                ".gitconfig",
                "[url \"https://u:SECRET@g.example/\"]\n\tinsteadOf = a:",
            ),
        ] {
            let path = format!("home/{file}");
            harness.write(&path, &(line.replace("SECRET", SECRET) + "\n"));
        }
        // Only the home is closed, as homes are; the rest can be looked at.
        chmod("700", &home);
        chmod("755", &root);
        chmod("777", &temporary);
        let spy = Some(Spy::start(&temporary, PATTERN));
        Self {
            harness,
            home,
            temporary,
            spy,
        }
    }

    fn command(&self) -> Command {
        let names = SEEN.map(|(name, _)| name);
        let mut command = self.harness.command(&names);
        command
            .args(["--keep-going", "-v", "--max-jobs", "6"])
            .env("HOME", &self.home)
            .env_remove("CARGO_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("PIP_CONFIG_FILE")
            .env("TMPDIR", &self.temporary)
            .env("https_proxy", format!("http://u:{SECRET}@p.example:1"));
        command
    }

    /// What the spy found by now.
    fn found(&mut self) -> String {
        self.spy.take().unwrap().found()
    }
}

fn chmod(mode: &str, path: &Utf8Path) {
    let status = Command::new("chmod").arg(mode).arg(path).status();
    assert!(status.unwrap().success());
}

/// The files below a folder that hold the secret.
fn holding(folder: &Utf8Path) -> String {
    let output = Command::new("grep")
        .args(["-lrs", PATTERN])
        .arg(folder)
        .output();
    text(&output.unwrap().stdout)
}

#[test]
fn each_client_gets_its_own_and_nobody_else_any() {
    if !is_root_to("become another user") {
        return;
    }
    let mut machine = Machine::new();
    let output = machine.command().arg("--json").output().unwrap();
    let (said, rows) = (text(&output.stderr), text(&output.stdout));
    assert_eq!(output.status.code(), Some(1), "{said}");
    for (component, variables) in SEEN {
        let log = text(&machine.harness.log(&format!("{component}-")));
        let seen: Vec<&str> = log
            .lines()
            .filter_map(|it| it.strip_prefix("sees "))
            .collect();
        assert_eq!(seen, variables, "{component}: {log}");
        assert!(!log.contains("found"), "{component}: {log}");
    }
    assert!(!said.contains(SECRET), "{said}");
    for row in rows.lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        let drv = fs_err::read(row["drv"].as_str().unwrap()).unwrap();
        assert!(!text(&drv).contains(SECRET), "{row}");
    }
    assert_eq!(machine.found(), "");
    assert_eq!(holding(&machine.temporary), "");
    assert_eq!(holding(&machine.harness.root().join("target")), "");
}

#[test]
fn killed_in_the_middle_it_leaves_none() {
    if !is_root_to("become another user") {
        return;
    }
    let mut machine = Machine::new();
    let mut child = machine
        .command()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let logs = machine.harness.root().join("target/test-build/logs");
    wait_until("builds run", || {
        logs.is_dir() && logs.read_dir().unwrap().count() > 3
    });
    child.kill().unwrap();
    child.wait().unwrap();
    // What was started goes on for a moment.
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(machine.found(), "");
    assert_eq!(holding(&machine.temporary), "");
}
