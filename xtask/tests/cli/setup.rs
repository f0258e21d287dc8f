//! `setup`: reports what is missing, installs only with `--install`.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;
use test_support::common::{root, run, stdout, text, xtask};
use test_support::harness::{Harness, NO_NAMESPACES, in_mounts, programs};

/// `setup` on a machine whose PATH has an apt-get and a sudo that only write down how they were called.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    /// `apt` is what else apt-get does.
    fn new(apt: &str) -> Self {
        let machine = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let called = machine.path().join("called");
        programs(
            &machine.path().join("programs"),
            &[
                ("apt-get", &format!("echo \"$@\" >> {called}; {apt}")),
                ("sudo", "exec \"$@\""),
            ],
            &["env", "sh"],
        );
        machine
    }

    fn path(&self) -> Utf8PathBuf {
        Utf8Path::from_path(self.folder.path()).unwrap().to_owned()
    }

    /// `setup` with these programs alone.
    fn bare(&self, arguments: &[&str]) -> Ended {
        self.setup(arguments, self.path().join("programs").as_str())
    }

    fn setup(&self, arguments: &[&str], path: &str) -> Ended {
        let output = run(xtask().arg("setup").args(arguments).env("PATH", path));
        let calls = fs_err::read_to_string(self.path().join("called")).unwrap_or_default();
        Ended {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            calls: calls.lines().map(str::to_owned).collect(),
        }
    }
}

/// How a run ended.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    /// What apt-get was told, by this run and those before.
    calls: Vec<String>,
}

impl Ended {
    fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The packages that apt-get was to install.
    fn packages(&self) -> Vec<&str> {
        let install = self.calls.last().unwrap();
        let packages = install.strip_prefix("install -y --install-recommends ");
        packages.unwrap().split(' ').collect()
    }
}

/// The lines of `--json`.
fn findings(stdout: &str) -> Vec<Value> {
    stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn finding<'a>(findings: &'a [Value], what: &str) -> &'a Value {
    let mut found = findings.iter().filter(|finding| finding["what"] == what);
    found
        .next()
        .unwrap_or_else(|| panic!("no {what}: {findings:?}"))
}

fn is_debian_like() -> bool {
    let text = fs_err::read_to_string("/etc/os-release").unwrap_or_default();
    text.lines()
        .any(|line| line.starts_with("ID") && line.contains("debian"))
}

#[test]
fn without_install_nothing_is_installed() {
    let machine = Machine::new("");
    let ended = machine.bare(&[]);
    assert_eq!(ended.calls, Vec::<String>::new());
    if !is_debian_like() {
        assert!(ended.stdout.contains("--on HOST"), "{}", ended.said());
        return;
    }
    assert_eq!(ended.code, Some(1), "{}", ended.said());
    for part in [
        "nix           MISSING  not found\n",
        "\nMISSING nix: builds the components\n  ",
        "nix-bin",
        "curl          warning  not found\n",
        "\nthe main job can't run yet: ",
    ] {
        assert!(
            ended.stdout.contains(part),
            "lacks `{part}`:\n{}",
            ended.said()
        );
    }
    let offer = ended.stdout.contains("`cargo xtask setup --install`");
    assert!(offer, "{}", ended.said());
}

#[test]
fn optional_is_no_word_of_its_own() {
    let machine = Machine::new("");
    let ended = machine.bare(&["--optional"]);
    assert_eq!(ended.code, Some(2), "{}", ended.said());
    assert!(ended.stderr.contains("--install"), "{}", ended.said());
    assert_eq!(ended.calls, Vec::<String>::new());
}

#[test]
fn install_installs_what_is_missing() {
    let machine = Machine::new("");
    let ended = machine.bare(&["--install"]);
    // This apt-get installs nothing, so that it is still missing afterwards.
    assert_eq!(ended.code, Some(1), "{}", ended.said());
    if !is_debian_like() {
        assert!(ended.stderr.contains("not a Debian-based system"));
        assert_eq!(ended.calls, Vec::<String>::new());
        return;
    }
    assert_eq!((ended.calls.len(), ended.calls[0].as_str()), (2, "update"));
    let packages = ended.packages();
    assert!(packages.contains(&"nix-bin"), "{packages:?}");
    assert!(!packages.contains(&"openssh-client"), "{packages:?}");
    assert_eq!(ended.stdout.matches("\nMISSING nix: ").count(), 2);
    assert!(
        ended
            .stdout
            .ends_with("then run `cargo xtask setup` again\n"),
        "{}",
        ended.said()
    );

    let ended = machine.bare(&["--install", "--optional"]);
    for package in ["nix-bin", "curl", "openssh-client", "pre-commit"] {
        assert!(ended.packages().contains(&package), "{:?}", ended.calls);
    }
}

/// On a machine without PostgreSQL, whose /etc is a copy.
#[test]
fn postgresql_is_installed_without_a_database() {
    if !is_debian_like() {
        return;
    }
    let conf = "/etc/postgresql-common/createcluster.d/zz-no-main-cluster.conf";
    for (said_of_the_setting, is_installed) in [("off", true), ("on", false)] {
        // Each call of apt-get writes down what is set by then.
        let machine = Machine::new("");
        let called = machine.path().join("called");
        let folder = machine.path().join("programs");
        let apt =
            format!("set=; [ ! -e {conf} ] || read -r set <{conf}; echo \"$set: $*\" >>{called}");
        fs_err::remove_file(folder.join("apt-get")).unwrap();
        let conftool = format!("echo {said_of_the_setting}");
        programs(
            &folder,
            &[("apt-get", &apt), ("pg_conftool", &conftool)],
            &["mkdir"],
        );
        let script = format!(
            "[ ! -d /usr/lib/postgresql ] || mount -t tmpfs none /usr/lib/postgresql; \
             cp -a /etc/. $D; rm -rf $D/postgresql-common; mount --bind $D /etc; \
             PATH={folder}; exec \"$@\""
        );
        let Some(output) = in_mounts(&script, xtask().args(["setup", "--install"])) else {
            return;
        };
        let said = text(&output.stderr);
        let calls = fs_err::read_to_string(called).unwrap();
        let calls: Vec<&str> = calls.lines().collect();
        assert_eq!(calls.len(), 3, "{calls:?}\n{said}");
        assert_eq!(calls[0], ": update");
        assert_eq!(
            calls[1],
            ": install -y --no-install-recommends postgresql-common"
        );
        let install = "create_main_cluster = false: install -y --install-recommends ";
        let packages = calls[2].strip_prefix(install).unwrap();
        let has_it = packages.split(' ').any(|package| package == "postgresql");
        assert_eq!(has_it, is_installed, "{packages}");
        assert!(packages.split(' ').any(|package| package == "nix-bin"));
        assert_eq!(
            said.contains("PostgreSQL is not installed"),
            !is_installed,
            "{said}"
        );
    }
}

#[test]
fn an_apt_that_fails_is_explained() {
    if !is_debian_like() {
        return;
    }
    let machine = Machine::new("echo 'E: no network' >&2; exit 100");
    let ended = machine.bare(&["--install"]);
    assert_eq!(ended.code, Some(1), "{}", ended.said());
    // A list that can't be renewed is no reason not to try.
    assert_eq!(ended.calls.len(), 2, "{:?}", ended.calls);
    for part in [
        "using the package lists that apt already has",
        "/etc/apt/sources.list",
        "E: no network",
    ] {
        assert!(
            ended.stderr.contains(part),
            "lacks `{part}`:\n{}",
            ended.said()
        );
    }
}

#[test]
fn a_complete_machine_is_left_alone() {
    let machine = Machine::new("");
    let path = format!("{}:{}", machine.path().join("programs"), env!("PATH"));
    for arguments in [&[][..], &["--install"]] {
        let ended = machine.setup(arguments, &path);
        assert_eq!(
            ended.code,
            Some(0),
            "these tests need what `setup` asks for:\n{}",
            ended.said()
        );
        assert!(!ended.stdout.contains("MISSING"), "{}", ended.said());
        let last = "\nthe main job can run: `cargo xtask test-build client-ts client-go`\n";
        assert!(ended.stdout.ends_with(last), "{}", ended.said());
        assert_eq!(ended.calls, Vec::<String>::new());
    }
}

#[test]
fn json_lines() {
    if !is_debian_like() {
        return;
    }
    // apt-get's own words are not for stdout.
    let machine = Machine::new("echo 'Reading package lists...'");
    for arguments in [&["--json"][..], &["--json", "--install"]] {
        let ended = machine.bare(arguments);
        assert_eq!(ended.code, Some(1), "{}", ended.said());
        let findings = findings(&ended.stdout);
        assert_eq!(
            *finding(&findings, "nix"),
            serde_json::json!({
                "what": "nix", "state": "lacking", "found": null, "why": "builds the components",
                "needed_for": "main", "package": "nix-bin",
                "remedy": finding(&findings, "nix")["remedy"],
            })
        );
        assert_eq!(finding(&findings, "ssh")["state"], "warning");
        assert_eq!(finding(&findings, "ssh")["needed_for"], "other-machines");
        assert_eq!(finding(&findings, "coreutils")["state"], "ok");
        assert_eq!(findings.iter().filter(|it| it["what"] == "nix").count(), 1);
        assert!(
            ended.stderr.contains("MISSING nix: builds"),
            "{}",
            ended.said()
        );
        let asked = arguments.contains(&"--install");
        assert_eq!(ended.stderr.contains("Reading package lists"), asked);
    }
}

#[test]
fn a_nix_that_does_not_run_is_a_finding() {
    for (setting, found, remedy) in [
        ("nonsense", "'nonsense'", "`NIX_CONFIG`"),
        ("max-jobs = many", "'max-jobs'", "fix the setting"),
    ] {
        let output = run(xtask().args(["setup", "--json"]).env("NIX_CONFIG", setting));
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        let findings = findings(&text(&output.stdout));
        let nix = finding(&findings, "nix");
        assert!(nix["found"].as_str().unwrap().contains(found), "{nix}");
        assert!(nix["remedy"].as_str().unwrap().contains(remedy), "{nix}");
    }
}

#[test]
fn a_repository_that_nix_can_not_name() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("two words");
    fs_err::create_dir(&copy).unwrap();
    stdout(
        Command::new("cp")
            .arg("-r")
            .arg(root().join("containers"))
            .arg(&copy),
    );
    let mut command = xtask();
    command.current_dir(&copy).env_remove("CARGO_MANIFEST_DIR");
    let output = run(command.args(["setup", "--json"]));
    let findings = findings(&text(&output.stdout));
    let sandbox = finding(&findings, "sandbox");
    assert_eq!(sandbox["remedy"], "move the repository", "{sandbox}");
    let found = sandbox["found"].as_str().unwrap();
    assert!(found.contains("two words"), "{found}");
}

/// `setup --json` in mounts of its own, see [`in_mounts`]. Exit code, findings and stderr.
fn setup_in_mounts(script: &str) -> Option<(Option<i32>, Vec<Value>, String)> {
    let output = in_mounts(script, xtask().args(["setup", "--json"]))?;
    let said = text(&output.stderr);
    Some((output.status.code(), findings(&text(&output.stdout)), said))
}

#[test]
fn a_machine_on_which_nix_can_not_isolate_builders() {
    for (script, error) in [
        (NO_NAMESPACES, "namespaces|cloning"),
        // Parts of /proc are hidden, as Docker does. Linux looks for one that shows all, and somebody may
        // have mounted another, for a chroot.
        (
            "awk '$3 == \"proc\" && $2 ~ /proc$/ { print $2 }' /proc/mounts | while read -r proc; do \
             mount -t tmpfs none $proc/fs; done; exec \"$@\"",
            "mounting /proc|namespaces",
        ),
    ] {
        let Some((code, findings, said)) = setup_in_mounts(script) else {
            return;
        };
        let sandbox = finding(&findings, "sandbox");
        assert_eq!(sandbox["state"], "lacking", "{script}:\n{said}");
        assert_eq!(code, Some(1), "{script}:\n{said}");
        let found = sandbox["found"].as_str().unwrap();
        assert!(error.split('|').any(|part| found.contains(part)), "{found}");
        assert!(!found.contains("--no-sandbox"), "{found}");
        let remedy = sandbox["remedy"].as_str().unwrap();
        assert!(remedy.contains("`--privileged`"), "{remedy}");
        assert_eq!(finding(&findings, "nix store")["state"], "ok");
    }
}

#[test]
fn an_empty_store_on_a_small_disk() {
    for (size, code, state, needed_for) in [
        ("64m", 1, "lacking", "main"),
        ("3g", 0, "warning", "larger-components"),
    ] {
        // Nix kills all processes of a user before it builds as that user. The locks on users stay
        // this machine's, lest the builders of other tests be killed.
        let script = format!(
            "users=/nix/var/nix/userpool; mkdir -p $users; mount --bind $users $D; \
             mount -t tmpfs -o size={size} none /nix; mkdir -p $users; mount --bind $D $users; \
             exec \"$@\""
        );
        let Some((ended, findings, said)) = setup_in_mounts(&script) else {
            return;
        };
        assert_eq!(ended, Some(code), "{said}");
        let disk = finding(&findings, "disk");
        assert_eq!(disk["state"], state, "{said}");
        assert_eq!(disk["needed_for"], needed_for, "{said}");
        // Nix makes the store and its database when it first writes.
        assert_eq!(finding(&findings, "nix store")["state"], "ok", "{said}");
        assert_eq!(finding(&findings, "sandbox")["state"], "ok", "{said}");
    }
}

#[test]
fn the_probe_of_the_sandbox_leaves_no_output() {
    let output = run(xtask().args(["setup", "--json"]));
    let findings = findings(&text(&output.stdout));
    assert_eq!(finding(&findings, "sandbox")["state"], "ok");
    let store = fs_err::read_dir("/nix/store").unwrap();
    let outputs: Vec<String> = store
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("-sandbox-probe"))
        .collect();
    assert_eq!(outputs, Vec::<String>::new());
}

/// A stand-in for prek, which shows where it was started and may install nothing.
#[test]
fn the_hook_is_installed_in_the_repository() {
    let harness = Harness::new("");
    let (root, programs_here) = (harness.root(), harness.root().join("programs"));
    stdout(Command::new("git").args(["init", "--quiet", root.as_str()]));
    let elsewhere = tempfile::tempdir().unwrap();
    let install = |script: &str| {
        let _ = fs_err::remove_dir_all(&programs_here);
        programs(&programs_here, &[("prek", script)], &["git"]);
        let mut setup = xtask();
        setup
            .args(["setup", "--install-hooks"])
            .current_dir(elsewhere.path())
            .env("CARGO_MANIFEST_DIR", root.join("xtask"))
            .env("PATH", &programs_here);
        let output = run(&mut setup);
        (output.status.code(), text(&output.stderr))
    };
    let (code, said) = install("exit 0");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("there is no `"), "{said}");
    let hook = "echo '# generated by prek' > .git/hooks/pre-commit";
    let (code, said) = install(hook);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("installed .git/hooks/pre-commit"), "{said}");
}
