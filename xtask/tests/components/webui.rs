//! The web UI: what `npm ci` is given and what comes of it, bad locks and registries, and the built pages
//! in a real browser.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use test_support::common::{
    free_port, hash, nix, passed_over, root, run, sample_copy, stdout, text, xtask,
};

/// A package of host-pkgs, as its store path.
pub fn host_package(attribute: &str) -> Utf8PathBuf {
    let path = stdout(
        nix("nix-build")
            .args(["--no-out-link", "-A", attribute])
            .arg(root().join("containers/host-pkgs")),
    );
    Utf8PathBuf::from(path.trim())
}

/// The npm of the sample's pins, unpacked, as the derivation gets it.
fn pinned_npm() -> Utf8PathBuf {
    let expression = format!(
        "(import {root}/containers/authentik {{ pkgs = import {root}/containers/host-pkgs {{ }}; \
         pins = {root}/containers/authentik/sample/pins.json; }}).sources.npm",
        root = root()
    );
    let path = stdout(nix("nix-build").args(["--no-out-link", "-E", &expression]));
    Utf8PathBuf::from(path.trim())
}

/// A sample of its own, and a run of the install step on its lock file outside of Nix.
struct Install {
    folder: tempfile::TempDir,
    sample: Utf8PathBuf,
}

impl Install {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sample = sample_copy(Utf8Path::from_path(folder.path()).unwrap());
        Self { folder, sample }
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8Path::from_path(self.folder.path()).unwrap().join(name)
    }

    /// The command, which puts the trees at `out`.
    fn command(&self, out: &str, node: &Utf8Path) -> Command {
        let script = root().join("containers/authentik/webui-deps.sh");
        let mut command = Command::new("bash");
        command
            .arg(script)
            .arg(self.sample.join("web"))
            .arg(pinned_npm())
            .arg(self.path(out))
            .env(
                "explain",
                root().join("containers/authentik/webui-deps-explain.mjs"),
            )
            .env(
                "PATH",
                format!("{node}/bin:{}", std::env::var("PATH").unwrap()),
            );
        command
    }

    /// Changes the lock file.
    fn lock(&self, change: impl FnOnce(&mut Value)) {
        let path = self.sample.join("web/package-lock.json");
        let mut lock: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
        change(&mut lock);
        fs_err::write(&path, serde_json::to_vec_pretty(&lock).unwrap()).unwrap();
    }

    /// Runs it where it must fail, and gives what it said; nothing may be left of its output.
    fn refused(&self, command: &mut Command) -> String {
        let output = run(command);
        assert!(!output.status.success(), "{}", text(&output.stdout));
        assert!(!self.path("out").exists(), "half an output was left");
        text(&output.stderr)
    }
}

#[test]
fn what_npm_installs_does_not_depend_on_who_installs_it() {
    let node = host_package("nodejs_24");
    let pins: Value = serde_json::from_slice(
        &fs_err::read(root().join("containers/authentik/sample/pins.json")).unwrap(),
    )
    .unwrap();
    let pin = pins["web"]["nodeModules"]["x86_64-linux"].as_str().unwrap();

    let install = Install::new();
    stdout(&mut install.command("plain", &node));
    assert_eq!(hash(&install.path("plain"), false), pin);

    // Another umask, locale, home with an npm configuration that asks for other trees, and a warm cache.
    let home = install.path("home");
    fs_err::create_dir_all(&home).unwrap();
    let registry = stdout(Command::new("npm").args(["config", "get", "registry"]));
    fs_err::write(
        home.join(".npmrc"),
        format!(
            "registry={registry}install-strategy=nested\nomit[]=optional\nlegacy-peer-deps=true\n\
             bin-links=false\nprefer-dedupe=true\ncache={}\n",
            install.path("cache")
        ),
    )
    .unwrap();
    let command = install.command("other", &node);
    let script: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
    let mut shell = Command::new("bash");
    shell
        .args(["-c", "umask 077; exec bash \"$@\"", "bash"])
        .args(script)
        .envs(
            command
                .get_envs()
                .filter_map(|(key, value)| Some((key, value?))),
        )
        .env("HOME", &home)
        .env("LC_ALL", "tr_TR.UTF-8")
        .env("TZ", "Asia/Tokyo")
        .env("NODE_ENV", "production")
        .env("npm_config_install_strategy", "linked")
        .env("npm_config_cache", install.path("cache"));
    stdout(&mut shell);
    assert_eq!(hash(&install.path("other"), false), pin);
    // each workspace with its own tree
    assert!(
        install
            .path("plain/packages/core/node_modules/semver")
            .is_dir()
    );
}

#[test]
fn a_lock_file_that_disagrees_is_named_with_its_pin() {
    let install = Install::new();
    let node = host_package("nodejs_24");
    let manifest = install.sample.join("web/package.json");
    let changed = fs_err::read_to_string(&manifest)
        .unwrap()
        .replace("\"semver\": \"6.3.1\"", "\"semver\": \"6.3.0\"");
    fs_err::write(&manifest, changed).unwrap();
    let said = install.refused(
        install
            .command("out", &node)
            .envs([("pinKey", "web.nodeModules.x"), ("pinsName", "pins.json")]),
    );
    // npm's own words, and ours
    assert!(
        said.contains("package.json and package-lock.json"),
        "{said}"
    );
    assert!(said.contains("semver@6.3.1"), "{said}");
    assert!(
        said.contains("disagree: `npm install` in web/ mends the lock file; the trees are pinned as `web.nodeModules.x` in pins.json"),
        "{said}"
    );
}

#[test]
fn a_tarball_that_is_not_what_the_lock_says_is_refused_by_name() {
    let install = Install::new();
    let node = host_package("nodejs_24");
    let wrong = format!("sha512-{}==", "A".repeat(86));
    install.lock(|lock| lock["packages"]["node_modules/base64-js"]["integrity"] = json!(wrong));
    let said = install.refused(&mut install.command("out", &node));
    assert!(said.contains("EINTEGRITY"), "{said}");
    assert!(
        said.lines().any(
            |line| line.starts_with("webui-deps: the tarball of base64-js 1.5.1 ")
                && line.ends_with(&format!(
                    "is not what package-lock.json says ({wrong}): refused"
                ))
        ),
        "{said}"
    );
}

/// A registry that has nothing: 404 whatever is asked.
fn empty_registry() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else {
                return;
            };
            std::thread::spawn(move || {
                let mut reader = BufReader::new(connection.try_clone().unwrap());
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                    line.clear();
                }
                let _ = connection.write_all(
                    b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{}",
                );
                // to close with something unread would be to reset the connection, and npm would try again
                let _ = connection.shutdown(std::net::Shutdown::Write);
                let _ = std::io::copy(&mut reader, &mut std::io::sink());
            });
        }
    });
    address
}

#[test]
fn a_tarball_that_the_registry_lacks_is_named() {
    let install = Install::new();
    let node = host_package("nodejs_24");
    let registry = empty_registry();
    install.lock(|lock| {
        for (path, entry) in lock["packages"].as_object_mut().unwrap() {
            if let Some((_, name)) = path.rsplit_once("node_modules/")
                && entry.get("link").is_none()
            {
                let base = name.rsplit('/').next().unwrap();
                let version = entry["version"].as_str().unwrap();
                entry["resolved"] = json!(format!("{registry}{name}/-/{base}-{version}.tgz"));
            }
        }
    });
    let said = install.refused(
        install
            .command("out", &node)
            .env("npm_config_registry", &registry),
    );
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("webui-deps: the registry lacks "))
        .unwrap_or_else(|| panic!("{said}"));
    let (package, place) = line
        .split_once(", which package-lock.json wants: 404 at ")
        .unwrap();
    let (name, version) = package.split_once(' ').unwrap();
    let base = name.rsplit('/').next().unwrap();
    assert_eq!(
        place,
        format!("{registry}{name}/-/{base}-{version}.tgz"),
        "{said}"
    );
}

#[test]
fn a_registry_that_cannot_be_reached_and_a_node_that_is_too_old() {
    let install = Install::new();
    let node = host_package("nodejs_24");
    // nothing listens there
    let gone = free_port();
    let home = install.path("home");
    fs_err::create_dir_all(&home).unwrap();
    fs_err::write(
        home.join(".npmrc"),
        format!("registry=http://127.0.0.1:{gone}/\nfetch-retries=0\n"),
    )
    .unwrap();
    let said = install.refused(
        install
            .command("out", &node)
            .env("HOME", &home)
            .env_remove("npm_config_registry")
            .env_remove("NPM_CONFIG_REGISTRY")
            .env_remove("NPM_CONFIG_USERCONFIG"),
    );
    assert!(
        said.contains("webui-deps: the registry can't be reached"),
        "{said}"
    );

    // A node of another version on PATH: a script that says so and runs the real one for all else.
    let bin = install.path("old/bin");
    fs_err::create_dir_all(&bin).unwrap();
    fs_err::write(
        bin.join("node"),
        format!(
            "#!/bin/sh\n[ \"$1\" = --version ] && {{ echo v20.0.0; exit; }}\n\
             exec {node}/bin/node --import 'data:text/javascript,Object.defineProperty(process,\"version\",{{value:\"v20.0.0\"}})' \"$@\"\n"
        ),
    )
    .unwrap();
    fs_err::set_permissions(bin.join("node"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let said = install.refused(&mut install.command("out", &install.path("old")));
    assert!(
        said.contains(
            "Node v20.0.0 is not what the web UI's package.json wants (`engines.node`: >=24)"
        ),
        "{said}"
    );
}

#[test]
fn a_platform_without_a_pin_is_named_with_the_command_that_pins_it() {
    let install = Install::new();
    let path = install.sample.join("pins.json");
    let mut pins: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    pins["web"]["nodeModules"] = json!({});
    fs_err::write(&path, serde_json::to_vec_pretty(&pins).unwrap()).unwrap();
    let build = || {
        let mut command = xtask();
        command.args(["test-build", "webui-deps", "--pkgs", "host", "-q", "--pins"]);
        command.arg(&path);
        command
    };
    let output = run(&mut build());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in [
        "has no `web.nodeModules.x86_64-linux`",
        "`cargo xtask test-build webui-deps --write-pins`",
    ] {
        assert!(said.contains(part), "{said}");
    }

    // it finds the hash, and adds it
    stdout(build().arg("--write-pins"));
    let found: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    let sample = root().join("containers/authentik/sample/pins.json");
    let known: Value = serde_json::from_slice(&fs_err::read(sample).unwrap()).unwrap();
    assert_eq!(found["web"], known["web"]);
}

/// The sample's web UI in Debian's Chromium; the picture is kept at `target/screenshots/`.
#[test]
fn the_built_pages_load_in_a_browser() {
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
    if Command::new(&chromium).arg("--version").output().is_err() {
        passed_over(&chromium, "chromium");
        return;
    }
    stdout(xtask().args(["test-build", "webui", "--sample", "--pkgs", "host", "-q"]));
    let webui = root().join("target/test-build/authentik/sample/webui");
    let node = host_package("nodejs_24").join("bin/node");
    let look = |webui: &Utf8Path, arguments: &[&str]| {
        run(Command::new(&node)
            .arg(root().join("tools/browser.mjs"))
            .arg(webui)
            .args(arguments))
    };
    let picture = root().join("target/screenshots/sample-flow.png");
    let _ = fs_err::remove_file(&picture);
    let flow = [
        "--stage",
        "ak-stage-password",
        "--expect",
        "Welcome to authentik!",
        "--expect",
        "authentik 2026.2.0 (2026.2)",
        "--screenshot",
        picture.as_str(),
    ];
    for arguments in [
        &flow[..],
        &["--page", "sfe", "--expect", "Challenge c2FtcGxl"],
    ] {
        let output = look(&webui, arguments);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
    }
    assert!(fs_err::metadata(&picture).unwrap().len() > 1000);

    // What is missing or throws is seen: a picture gone, a chunk that fails.
    let folder = tempfile::tempdir().unwrap();
    let broken = Utf8Path::from_path(folder.path()).unwrap().join("webui");
    stdout(
        Command::new("cp")
            .args(["-rL", "--no-preserve=mode"])
            .arg(&webui)
            .arg(&broken),
    );
    let pictures = broken.join("dist/assets/icons/icon.svg");
    fs_err::remove_file(&pictures).unwrap();
    let entry = broken.join("dist/poly-2026.2.0.js");
    let script = fs_err::read_to_string(&entry).unwrap();
    fs_err::write(
        &entry,
        format!("{script}\nconsole.error('a word');throw new Error('thrown');"),
    )
    .unwrap();
    let output = look(&broken, &flow);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "404: /static/dist/assets/icons/icon.svg",
        "console: a word",
        "exception: Error: thrown",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
