//! What the end-to-end tests share: the built program, this repository, and Nix as the program runs it.
use std::io::Write as _;
use std::process::{Command, Output};

use camino::{Utf8Path, Utf8PathBuf};

/// The root of this repository.
pub fn root() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The built program, in this repository.
pub fn xtask() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.current_dir(root()).env_remove("NO_COLOR");
    command
}

/// A program of Nix, with the settings for host-pkgs.
pub fn nix(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env(
        "NIX_USER_CONF_FILES",
        root().join("containers/host-pkgs/nix.conf"),
    );
    command
}

/// `--arg pkgs` for host-pkgs.
pub fn host_pkgs() -> [String; 3] {
    let set = format!("import {}/containers/host-pkgs {{ }}", root());
    ["--arg".to_owned(), "pkgs".to_owned(), set]
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs a command that must succeed; its stdout.
pub fn stdout(command: &mut Command) -> String {
    let output = run(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The SRI hash that the program itself prints.
pub fn hash(path: &Utf8Path, flat: bool) -> String {
    let mut command = xtask();
    command.arg("hash").arg(path);
    if flat {
        command.arg("--flat");
    }
    stdout(&mut command).trim().to_owned()
}

/// A copy of the sample, with its pins.
pub fn sample_copy(folder: &Utf8Path) -> Utf8PathBuf {
    let copy = folder.join("sample");
    stdout(
        Command::new("cp")
            .arg("-r")
            .arg(root().join("containers/authentik/sample"))
            .arg(&copy),
    );
    copy
}

/// Whether there is a program to test with.
pub fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    found || passed_over(program, program)
}

/// Says that a part of a test is passed over for want of a program; fails where CI runs, which has all.
pub fn passed_over(missing: &str, package: &str) -> bool {
    not_tested(&format!(
        "there is no {missing}: `apt-get install {package}` brings what is tested with it"
    ))
}

/// Says why a part of a test is passed over; fails where CI runs.
///
/// It is said past the test harness, which shows nothing of tests that pass.
pub fn not_tested(said: &str) -> bool {
    assert!(std::env::var_os("CI").is_none(), "{said}");
    let said = format!("NOT TESTED, {said}\n");
    std::io::stderr().write_all(said.as_bytes()).unwrap();
    false
}

/// Whether this is root, who alone can do what is named; where it is not, that is said, and fails in CI.
pub fn is_root_to(what: &str) -> bool {
    let is_root = stdout(Command::new("id").arg("-u")).trim() == "0";
    if !is_root {
        assert!(std::env::var_os("CI").is_none(), "CI has to run as root");
        eprintln!("only root can {what}: nothing tested");
    }
    is_root
}
