//! `setup`: says what is lacking, installs only when told to.

use crate::common::{run, text, xtask};
use crate::harness::programs;
use camino::{Utf8Path, Utf8PathBuf};

/// `setup` on a machine whose PATH has an apt-get and a sudo that only write down how they were called.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let called = machine.path().join("called");
        programs(
            &machine.path().join("programs"),
            &[
                ("apt-get", &format!("echo \"$@\" >> {called}")),
                ("sudo", "exec \"$@\""),
            ],
            &["env"],
        );
        machine
    }

    fn path(&self) -> Utf8PathBuf {
        Utf8Path::from_path(self.folder.path()).unwrap().to_owned()
    }

    /// Exit code, stdout and stderr, and the calls of apt-get.
    fn setup(&self, arguments: &[&str], path: &str) -> (Option<i32>, String, Vec<String>) {
        let output = run(xtask().arg("setup").args(arguments).env("PATH", path));
        let calls = fs_err::read_to_string(self.path().join("called")).unwrap_or_default();
        (
            output.status.code(),
            text(&output.stdout) + &text(&output.stderr),
            calls.lines().map(str::to_owned).collect(),
        )
    }
}

fn is_debian_like() -> bool {
    let text = fs_err::read_to_string("/etc/os-release").unwrap_or_default();
    text.lines()
        .any(|line| line.starts_with("ID") && line.contains("debian"))
}

#[test]
fn without_install_nothing_is_installed() {
    let machine = Machine::new();
    let (code, said, calls) = machine.setup(&[], machine.path().join("programs").as_str());
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "nix  ",
        "LACKING",
        "builds the components",
        "apt-get install nix-bin",
        "curl",
    ] {
        assert!(said.contains(part), "lacks `{part}`:\n{said}");
    }
    assert!(said.contains("`cargo xtask setup --install`"), "{said}");
    assert_eq!(calls, Vec::<String>::new());
}

#[test]
fn install_brings_what_is_lacking() {
    let machine = Machine::new();
    let (code, said, calls) =
        machine.setup(&["--install"], machine.path().join("programs").as_str());
    // This apt-get brings nothing, so that it is still lacking when looked at again.
    assert_eq!(code, Some(1), "{said}");
    if !is_debian_like() {
        assert!(said.contains("not Debian or a like of it"), "{said}");
        assert_eq!(calls, Vec::<String>::new());
        return;
    }
    assert_eq!(calls[0], "update");
    let install = calls[1]
        .strip_prefix("install -y --install-recommends ")
        .unwrap();
    let packages: Vec<&str> = install.split(' ').collect();
    for package in ["curl", "nix-bin"] {
        assert!(packages.contains(&package), "{packages:?}");
    }
    assert_eq!(calls.len(), 2);
    assert_eq!(said.matches("builds the components").count(), 2, "{said}");
}

#[test]
fn a_complete_machine_is_left_alone() {
    let machine = Machine::new();
    let path = format!("{}:{}", machine.path().join("programs"), env!("PATH"));
    let (code, said, calls) = machine.setup(&[], &path);
    assert_eq!(
        code,
        Some(0),
        "these tests need what `setup` asks for:\n{said}"
    );
    assert!(!said.contains("LACKING"), "{said}");
    let (code, again, _) = machine.setup(&["--install"], &path);
    assert_eq!((code, again), (Some(0), said));
    assert_eq!(calls, Vec::<String>::new());
}
