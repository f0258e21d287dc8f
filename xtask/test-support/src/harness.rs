//! A repository in a folder of its own, with derivations that fail in every way that matters.
//!
//! The built program finds it as it finds the real one: by the pins file above the current folder.

use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};

use camino::Utf8PathBuf;
use serde_json::Value;

use crate::common::{is_root_to, run, stdout, text, wait_until};

/// The settings under which Nix's sandbox works on a machine with a plain /usr.
const NIX_CONF: &str = "sandbox = true
sandbox-fallback = false
sandbox-paths = /bin/sh=/usr/bin/dash /lib /lib64? /usr/lib /usr/lib64? /host/usr=/usr
substituters =
max-jobs = 2
";

/// A repository that goes when it is dropped.
pub struct Harness {
    folder: tempfile::TempDir,
}

/// How a run of the program ended.
pub struct Ended {
    /// The exit code.
    pub code: Option<i32>,
    /// The JSON lines of stdout, by component, if it was JSON.
    pub rows: Vec<Value>,
    /// Stdout.
    pub stdout: String,
    /// Stderr.
    pub stderr: String,
}

impl Harness {
    /// A repository with one container, whose `test-build.nix` gives these components.
    ///
    /// `components` is the inside of an attribute set in Nix. It may use `sh name attributes script`, a
    /// derivation with a bash script, whose name gets a word that no other run has, so that nothing is
    /// in the store yet; and `fixed name hash script`, the same with a fixed output.
    pub fn new(components: &str) -> Self {
        Self::below("repository", components)
    }

    /// The same in a folder whose name begins so.
    pub fn below(name: &str, components: &str) -> Self {
        let folder = tempfile::Builder::new().prefix(name).tempdir().unwrap();
        let harness = Self { folder };
        harness.container("authentik", components);
        harness.write(
            "containers/authentik/source-tree.json",
            r#"{ "has": ["schema.yml", "package.json", "scripts/api/ts-templates"], "version": "package.json" }"#,
        );
        harness.write("containers/host-pkgs/default.nix", "{ }: { }\n");
        harness.write("containers/host-pkgs/nix.conf", NIX_CONF);
        harness
    }

    /// A copy of the real expressions and of the crate that they call, which a test may break.
    pub fn of_this_repository() -> Self {
        let harness = Self::new("");
        harness.write("xtask/here", "");
        for (from, to) in [("containers", ""), ("xtask/build-tools", "xtask")] {
            let mut cp = Command::new("cp");
            cp.arg("-r").arg(crate::common::root().join(from));
            stdout(cp.arg(harness.root().join(to)));
        }
        harness
    }

    /// Makes a container with these components, as [`Harness::new`] does.
    pub fn container(&self, name: &str, components: &str) {
        let unique = format!(
            "{}-{}",
            std::process::id(),
            std::time::SystemTime::UNIX_EPOCH
                .elapsed()
                .unwrap()
                .as_nanos()
        );
        let test_build = format!(
            r#"{{ pkgs ? throw "no nixpkgs here", source ? null, pins ? null }}:
let
  sh = name: attributes: script: derivation ({{
    name = "${{name}}-{unique}";
    system = builtins.currentSystem;
    builder = "/host/usr/bin/bash";
    PATH = "/host/usr/bin";
    args = [ "-ec" (script + "\nexit 0\n") ];
  }} // attributes);
  fixed = name: hash: script: sh name {{
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    outputHash = hash;
  }} script;
  phase = name: "echo '@nix {{ \"action\": \"setPhase\", \"phase\": \"${{name}}\" }}' >&2\n";
  pinsFile = if pins == null then ./pins.json else /. + pins;
  hashOf = name: (builtins.fromJSON (builtins.readFile pinsFile)).sources.${{name}}.hash;
  wrong = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
in
rec {{
  recurseForDerivations = true;
  {components}
}}
"#
        );
        let folder = format!("containers/{name}");
        self.write(&format!("{folder}/test-build.nix"), &test_build);
        self.write(
            &format!("{folder}/pins.json"),
            r#"{ "version": "1.0", "sources": {} }"#,
        );
    }

    /// The root of the repository.
    pub fn root(&self) -> Utf8PathBuf {
        let path = self.folder.path().canonicalize().unwrap();
        Utf8PathBuf::from_path_buf(path).unwrap()
    }

    /// Writes a file below the root.
    pub fn write(&self, path: &str, contents: &str) {
        let path = self.root().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        std::io::Write::write_all(
            &mut fs_err::File::create(path).unwrap(),
            contents.as_bytes(),
        )
        .unwrap();
    }

    /// `test-build` over host-pkgs, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(crate::common::program());
        command
            .current_dir(self.root())
            .env_remove("CARGO_MANIFEST_DIR")
            .args(["test-build", "--pkgs", "host"])
            .args(arguments);
        command
    }

    /// Runs `test-build` over host-pkgs.
    pub fn test_build(&self, arguments: &[&str]) -> Ended {
        let output = run(&mut self.command(arguments));
        let stdout = text(&output.stdout);
        let rows = stdout
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        Ended {
            code: output.status.code(),
            rows,
            stdout,
            stderr: text(&output.stderr),
        }
    }

    /// The log file of the derivation whose name starts so.
    pub fn log(&self, name: &str) -> Vec<u8> {
        let folder = self.root().join("target/test-build/logs");
        let mut found: Vec<_> = fs_err::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .starts_with(name)
            })
            .collect();
        assert_eq!(found.len(), 1, "logs of {name} in {folder}: {found:?}");
        fs_err::read(found.remove(0)).unwrap()
    }
}

impl Ended {
    /// The JSON line of a component.
    pub fn row(&self, component: &str) -> &Value {
        let mut rows = self.rows.iter().filter(|row| row["component"] == component);
        rows.next()
            .unwrap_or_else(|| panic!("no row {component}:\n{}{}", self.stdout, self.stderr))
    }

    /// The state of a component.
    pub fn state(&self, component: &str) -> &str {
        self.row(component)["state"].as_str().unwrap()
    }

    /// Fails unless stderr holds all of these.
    pub fn says(&self, parts: &[&str]) {
        for part in parts {
            assert!(
                self.stderr.contains(part),
                "lacks `{part}`:\n{}",
                self.stderr
            );
        }
    }
}

/// A folder for PATH that holds these scripts only, and links to these programs of /usr/bin.
pub fn programs(folder: &camino::Utf8Path, scripts: &[(&str, &str)], links: &[&str]) {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::create_dir_all(folder).unwrap();
    for (name, script) in scripts {
        let path = folder.join(name);
        let mut file = fs_err::File::create(&path).unwrap();
        let text = format!("#!/bin/sh\n{script}\n");
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    for name in links {
        fs_err::os::unix::fs::symlink(format!("/usr/bin/{name}"), folder.join(name)).unwrap();
    }
}

/// Runs a command in mounts of its own, made by a shell script that ends in `exec ... "$@"`; the empty
/// folder `$D` is there for it. `None` without the rights to.
pub fn in_mounts(script: &str, command: &Command) -> Option<Output> {
    if !is_root_to("mount") {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut unshare = Command::new("unshare");
    unshare
        .args(["--mount", "sh", "-ec", script, "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .env("D", folder.path());
    if let Some(directory) = command.get_current_dir() {
        unshare.current_dir(directory);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => unshare.env(name, value),
            None => unshare.env_remove(name),
        };
    }
    Some(run(&mut unshare))
}

/// The start of a script for [`in_mounts`]: a machine on which Nix can't isolate builders, because there
/// is no capability to make namespaces, and in a chroot nobody may make one for users.
pub const NO_NAMESPACES: &str = "mount --rbind / $D; exec setpriv --bounding-set -sys_admin \
     --inh-caps -sys_admin chroot $D sh -c 'cd \"$0\"; exec \"$@\"' \"$PWD\" \"$@\"";

/// The processes whose command line holds a word.
pub fn processes_with(word: &str) -> Vec<Utf8PathBuf> {
    fs_err::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| Utf8PathBuf::from_path_buf(entry.ok()?.path()).ok())
        .filter(|path| {
            let command = fs_err::read(path.join("cmdline")).unwrap_or_default();
            text(&command).contains(word)
        })
        .collect()
}

/// The first connection, waited for as long as [`wait_until`] does.
pub fn accepted(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let mut accepted = None;
    wait_until("somebody connects", || {
        accepted = listener.accept().ok().map(|(stream, _)| stream);
        accepted.is_some()
    });
    let stream = accepted.unwrap();
    stream.set_nonblocking(false).unwrap();
    stream
}
