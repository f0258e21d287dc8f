//! `setup --on HOST`: what keeps a machine from building is found from here, with the remedy.

use std::process::{Command, Output, Stdio};

use test_support::common::{run, stdout, text, wait_until, xtask};
use test_support::far::{Far, write};
use test_support::harness::programs;

/// What a machine has in /usr/bin that is asked for by name, and of Nix.
const PROGRAMS: [&str; 27] = [
    "cat",
    "chmod",
    "cut",
    "dd",
    "df",
    "env",
    "grep",
    "gzip",
    "id",
    "mkdir",
    "mktemp",
    "nix",
    "nix-instantiate",
    "nix-store",
    "readlink",
    "rm",
    "rmdir",
    "sed",
    "setsid",
    "sh",
    "sleep",
    "tar",
    "tr",
    "uname",
    "wc",
    "curl",
    "date",
];

fn setup(far: &Far, arguments: &[&str]) -> Output {
    let mut command = xtask();
    command
        .args(["setup", "--on", "basher"])
        .args(arguments)
        .env("NIX_SSHOPTS", format!("-F {}/config", far.path()));
    run(&mut command)
}

/// Looks, and the report says all of this.
fn finds(far: &Far, code: i32, parts: &[&str]) {
    let output = setup(far, &[]);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "lacks `{part}`:\n{said}");
    }
}

/// Gives the machine these programs in place of its own.
fn path_with(far: &Far, scripts: &[(&str, &str)], without: &[&str]) {
    let path = far.path().join("path");
    let _ = fs_err::remove_dir_all(&path);
    let scripted: Vec<&str> = scripts.iter().map(|(name, _)| *name).collect();
    let links: Vec<&str> = PROGRAMS
        .into_iter()
        .filter(|name| !scripted.contains(name) && !without.contains(name))
        .collect();
    programs(&path, scripts, &links);
}

#[test]
fn a_machine_that_can_build() {
    let Some(far) = Far::start() else {
        return;
    };
    finds(
        &far,
        0,
        &[
            "on basher:\n",
            "sandbox       ok     works: a test builder ran in it",
            "the main job can run on basher: `cargo xtask test-build client-ts client-go --on basher`",
        ],
    );
    let output = setup(&far, &["--json"]);
    let lines = text(&output.stdout);
    let mut findings = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    assert!(findings.any(|it| it["what"] == "nix store" && it["state"] == "ok"));
    // Nothing is installed there.
    assert_eq!(setup(&far, &["--install"]).status.code(), Some(2));
    wait_until("nothing is left", || far.folders().is_empty());
}

#[test]
fn no_nix_an_old_one_and_the_wrong_system() {
    let Some(far) = Far::start_with(&["PATH=$D/path"], "") else {
        return;
    };
    path_with(&far, &[], &["nix", "nix-instantiate", "nix-store"]);
    finds(&far, 1, &["\nMISSING nix: ", "apt-get install nix-bin"]);

    let old = [("nix-store", "echo 'nix-store (Nix) 2.3.16'")];
    path_with(&far, &old, &[]);
    let parts = ["Nix 2.3.16 is too old: install 2.8 or later"];
    finds(&far, 1, &parts);

    path_with(&far, &[("uname", "echo Linux aarch64")], &[]);
    let parts = [
        "\nMISSING package set",
        "host-pkgs has no packages for aarch64-linux: use Nix 2.18",
    ];
    finds(&far, 1, &parts);

    path_with(&far, &[("uname", "echo Darwin arm64")], &[]);
    finds(&far, 2, &["`basher` is a machine of aarch64-darwin"]);
}

/// A Nix that says to be a newer one: the real one may be too old for nixpkgs.
#[test]
fn no_curl() {
    let Some(far) = Far::start_with(&["PATH=$D/path"], "") else {
        return;
    };
    let newer =
        "[ \"$*\" = --version ] && echo 'nix-store (Nix) 2.26.3' || exec /usr/bin/nix-store \"$@\"";
    path_with(&far, &[("nix-store", newer)], &["curl"]);
    let parts = ["is not in the store and there is no curl to ask its address"];
    finds(&far, 0, &parts);
}

#[test]
fn no_sandbox() {
    let mounts = "mkdir $D/root; mount --rbind / $D/root; exec setpriv --bounding-set -sys_admin \
                  --inh-caps -sys_admin chroot $D/root /usr/sbin/sshd -D -e -f $D/sshd_config 2>$D/log";
    let Some(far) = Far::start_with(&[], mounts) else {
        return;
    };
    finds(&far, 1, &["\nMISSING sandbox: ", "`--privileged`"]);
}

#[test]
fn a_full_store() {
    let mounts = "mkdir $D/users; users=/nix/var/nix/userpool; mkdir -p $users; \
                  mount --bind $users $D/users; mount -t tmpfs -o size=64m none /nix; \
                  mkdir -p $users; mount --bind $D/users $users";
    let Some(far) = Far::start_with(&[], mounts) else {
        return;
    };
    finds(
        &far,
        1,
        &[
            "\nMISSING disk: ",
            "free space until 1.1 GiB",
            "nix-collect-garbage",
        ],
    );
}

#[test]
fn a_daemon_that_does_not_trust_the_user() {
    let variables = [
        "NIX_REMOTE=daemon",
        "NIX_DAEMON_SOCKET_PATH=$D/socket",
        "NIX_CONFIG=trusted-users = somebody",
    ];
    let mounts = "cp /etc/os-release $D; mount --bind $D/os-release /etc/os-release";
    let Some(far) = Far::start_with(&variables, mounts) else {
        return;
    };
    // Without a daemon yet:
    finds(&far, 1, &["\nMISSING nix", "systemctl start nix-daemon"]);
    let mut daemon = Command::new("nix-daemon")
        .env("NIX_DAEMON_SOCKET_PATH", far.path().join("socket"))
        .env("NIX_CONFIG", "trusted-users = somebody")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the daemon listens", || far.path().join("socket").exists());
    let user = stdout(Command::new("id").arg("-un"));
    let remedy = format!(
        "`extra-trusted-users = {}` to /etc/nix/nix.conf",
        user.trim()
    );
    finds(&far, 1, &["\nMISSING nix store: ", &remedy]);
    // NixOS writes that file itself.
    write(&far.path().join("os-release"), "ID=nixos\n");
    let remedy = "nix.settings.trusted-users = ";
    finds(&far, 1, &["\nMISSING nix store: ", remedy]);
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}
