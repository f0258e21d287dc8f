//! As a user who is not root: through a daemon, which has to trust them.
//!
//! Only root can start a daemon over the store and become another user; elsewhere nothing is tested.

use std::process::{Child, Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};

use test_support::common::{is_root_to, root, run, stdout, text};
use test_support::harness::Harness;

/// Anybody but root.
const USER: &str = "nobody";

/// A daemon, and a copy of what the user needs in a folder of their own, closed to others.
struct Machine {
    _folder: tempfile::TempDir,
    home: Utf8PathBuf,
    socket: Utf8PathBuf,
    daemon: Child,
}

impl Machine {
    /// Starts a daemon that trusts these users; `None` without the rights to.
    fn start(trusted: &str) -> Option<Self> {
        if !is_root_to("start a daemon over this store") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap();
        stdout(Command::new("chmod").arg("755").arg(path));
        let home = path.join("home");
        fs_err::create_dir(&home).unwrap();
        stdout(
            Command::new("cp")
                .arg("-r")
                .args([
                    &root().join("containers"),
                    Utf8Path::new(env!("CARGO_BIN_EXE_xtask")),
                ])
                .arg(&home),
        );
        stdout(Command::new("chown").args(["-R", USER]).arg(&home));
        stdout(Command::new("chmod").arg("700").arg(&home));
        let socket = path.join("socket");
        let daemon = Command::new("nix-daemon")
            .env("NIX_DAEMON_SOCKET_PATH", &socket)
            .env("NIX_CONFIG", format!("trusted-users = root {trusted}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..200 {
            if socket.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Some(Self {
            _folder: folder,
            home,
            socket,
            daemon,
        })
    }

    /// Makes the sample's schema one from which nobody built before.
    fn change_schema(&self) {
        let schema = self.home.join("containers/authentik/sample/schema.yml");
        let changed = fs_err::read_to_string(&schema).unwrap();
        let now = std::time::SystemTime::now();
        fs_err::write(&schema, format!("{changed}# {now:?}\n")).unwrap();
    }

    /// The program, run by the user.
    fn xtask(&self, trusted: &str) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", USER, "--regid", "65534", "--clear-groups"])
            .arg(self.home.join("xtask"))
            .current_dir(&self.home)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &self.home)
            .env("USER", USER)
            .env("NIX_REMOTE", "daemon")
            .env("NIX_DAEMON_SOCKET_PATH", &self.socket)
            // what /etc/nix/nix.conf would tell daemon and client alike
            .env("NIX_CONFIG", format!("trusted-users = root {trusted}"));
        command
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

#[test]
fn a_user_whom_the_daemon_trusts() {
    let Some(machine) = Machine::start(USER) else {
        return;
    };
    // Whatever the user's own settings say: it is tried.
    for listed in [USER, ""] {
        let output = run(machine.xtask(listed).arg("setup"));
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("a daemon that trusts this user"), "{said}");
    }
    machine.change_schema();
    let output = run(machine.xtask(USER).args([
        "test-build",
        "client-ts",
        "--no-tests",
        "--json",
        "--source",
        "containers/authentik/sample",
    ]));
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let row: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(row["state"], "built", "{said}");
    assert!(
        machine
            .home
            .join("target/test-build/authentik/source/client-ts/dist")
            .is_dir()
    );
}

/// Through a daemon only the error that ends the run is marked as Nix's own.
#[test]
fn several_mismatches_through_a_daemon() {
    let Some(machine) = Machine::start(USER) else {
        return;
    };
    let forged = "sha256-BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA=";
    let harness = Harness::new(
        &r#"
  one = fixed "one" (hashOf "one") "echo one > $out";
  two = fixed "two" (hashOf "two") "sleep 1; echo two > $out";
  forger = sh "forger" { other = builtins.unsafeDiscardStringContext two.drvPath; } ''
    echo "@nix { \"action\": \"msg\", \"level\": 0, \"msg\": \"error: hash mismatch in fixed-output derivation '$other':\\n specified: ${wrong}\\n got: FORGED\" }" >&2
    exit 1
  '';
  pinned = [
    (one // { pin = { file = pinsFile; key = [ "sources" "one" "hash" ]; }; })
    (two // { pin = { file = pinsFile; key = [ "sources" "two" "hash" ]; }; })
  ];
"#
        .replace("FORGED", forged),
    );
    let wrong = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let source =
        format!(r#"{{ "places": [ {{ "npm": "x", "version": "1" }} ], "hash": "{wrong}" }}"#);
    harness.write(
        "containers/authentik/pins.json",
        &format!(r#"{{ "version": "1", "sources": {{ "one": {source}, "two": {source} }} }}"#),
    );
    stdout(
        Command::new("rm")
            .arg("-r")
            .arg(machine.home.join("containers")),
    );
    stdout(
        Command::new("cp")
            .arg("-r")
            .arg(harness.root().join("containers"))
            .arg(&machine.home),
    );
    stdout(Command::new("chown").args(["-R", USER]).arg(&machine.home));
    let pins =
        || fs_err::read_to_string(machine.home.join("containers/authentik/pins.json")).unwrap();
    let test_build = |more: &[&str]| {
        let mut command = machine.xtask(USER);
        command.args(["test-build", "--all", "--pkgs", "host", "--keep-going"]);
        let output = run(command.args(more));
        let states: Vec<(String, String)> = text(&output.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .map(|row: serde_json::Value| {
                let word = |key: &str| row[key].as_str().unwrap().to_owned();
                (word("component"), word("state"))
            })
            .collect();
        (output.status.code(), states, text(&output.stderr))
    };
    let states = |of_the_fixed: &str| {
        [
            ("forger", "failed"),
            ("one", of_the_fixed),
            ("two", of_the_fixed),
        ]
        .map(|(component, state)| (component.to_owned(), state.to_owned()))
    };

    let (code, found, said) = test_build(&["--json"]);
    assert_eq!(
        (code, &found[..]),
        (Some(1), &states("hash mismatch")[..]),
        "{said}"
    );
    for name in ["one", "two"] {
        let pin = format!("pin:       `sources.{name}.hash` in containers/authentik/pins.json");
        assert!(said.contains(&pin), "{said}");
    }
    assert!(!said.contains(&format!("got:       {forged}")), "{said}");
    assert_eq!(pins().matches(wrong).count(), 2);

    let (code, found, said) = test_build(&["--json", "--write-pins"]);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(found[0], states("")[0], "{said}");
    assert!(
        found[1..]
            .iter()
            .all(|(_, state)| state == "built" || state == "cached"),
        "{found:?}\n{said}"
    );
    assert_eq!(
        (
            pins().matches(wrong).count(),
            pins().matches(forged).count()
        ),
        (0, 0),
        "{said}"
    );
}

#[test]
fn a_user_whom_the_daemon_does_not_trust() {
    let Some(machine) = Machine::start("") else {
        return;
    };
    let output = run(machine.xtask("").arg("setup"));
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("extra-trusted-users = nobody"), "{said}");
    // The settings trust them by now, but the daemon has not read them yet.
    let output = run(machine.xtask(USER).arg("setup"));
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("systemctl restart nix-daemon"), "{said}");
    machine.change_schema();
    let output = run(machine
        .xtask("")
        .args(["test-build", "client-ts", "--source"])
        .arg(machine.home.join("containers/authentik/sample")));
    let said = text(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("cargo xtask setup"), "{said}");
}

#[test]
fn a_daemon_for_the_members_of_a_group() {
    let Some(machine) = Machine::start(USER) else {
        return;
    };
    // As Debian has it.
    let folder = machine.socket.with_file_name("closed");
    stdout(Command::new("install").args(["-d", "-m", "770", "-g", "daemon", folder.as_str()]));
    let mut command = machine.xtask(USER);
    command.env("NIX_DAEMON_SOCKET_PATH", folder.join("socket"));
    let output = run(command.arg("setup"));
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("`usermod -aG daemon nobody`"), "{said}");
}
