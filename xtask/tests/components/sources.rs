//! Where sources come from: each kind of place, the next one when a place fails, the hash above all.
//!
//! Places on loopback stand in for the mirrors and registries, which a test can't break. Each test
//! makes content of its own, so that no source is in the store already.
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use test_support::common::{
    self, free_port, hash, host_pkgs, nix, not_tested, path_with_go, root, run, sample_copy,
    stdout, text, xtask,
};

/// A copy of the sample in a folder of its own.
struct Sample {
    _folder: tempfile::TempDir,
    path: Utf8PathBuf,
}

impl Sample {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = sample_copy(Utf8Path::from_path(folder.path()).unwrap());
        Self {
            _folder: folder,
            path,
        }
    }

    /// Changes an entry of `sources` in the pins.
    fn pin(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let path = self.path.join("pins.json");
        let mut pins: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
        change(&mut pins["sources"][name]);
        fs_err::write(&path, serde_json::to_vec_pretty(&pins).unwrap()).unwrap();
    }

    /// Files for the Go client's module that nobody had before; their folder.
    fn new_module_files(&self) -> Utf8PathBuf {
        let folder = self.path.join("client-go");
        let nonce = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_nanos();
        let path = folder.join("go.mod");
        let text = fs_err::read_to_string(&path).unwrap();
        fs_err::write(&path, format!("// {nonce}\n{text}")).unwrap();
        folder
    }

    /// Pins the module files to what lies in the folder, to be had from these places.
    fn pin_module(&self, places: &Value) {
        let sri = hash(&self.path.join("client-go"), false);
        self.pin("client-go", |pin| {
            pin["hash"] = json!(sri);
            pin["places"] = places.clone();
        });
    }

    fn build(&self, component: &str) -> Command {
        let mut command = xtask();
        command
            .args([
                "test-build",
                component,
                "--pkgs",
                "host",
                "--no-tests",
                "--json",
                "--pins",
            ])
            .arg(self.path.join("pins.json"));
        command
    }

    /// Builds the Go client and compares its go.mod with the one that was pinned.
    fn build_with_module(&self, environment: &[(&str, &str)]) -> String {
        let mut command = self.build("client-go");
        command
            .env_remove("GOPROXY")
            .envs(environment.iter().copied());
        let output = run(&mut command);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        let row: Value = serde_json::from_slice(&output.stdout).unwrap();
        let client = Utf8Path::new(row["out"].as_str().unwrap());
        assert_eq!(
            fs_err::read(client.join("go.mod")).unwrap(),
            fs_err::read(self.path.join("client-go/go.mod")).unwrap()
        );
        said
    }
}

/// A server that ends with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts a command that is told its port, and waits until it listens.
    fn start(command: impl FnOnce(u16) -> Command) -> Self {
        let port = free_port();
        let child = command(port)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, port };
        for _ in 0..600 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return server;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("the server on port {port} doesn't listen");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn git(folder: &Utf8Path, arguments: &[&str]) {
    stdout(common::git(folder).args(arguments));
}

/// A repository `module` with the tag `v3.2026.2.0`, served by git's own daemon.
fn git_server(repositories: &Utf8Path, content: &Utf8Path) -> Server {
    let repository = repositories.join("module");
    stdout(Command::new("cp").arg("-r").arg(content).arg(&repository));
    git(&repository, &["init", "--quiet"]);
    git(&repository, &["add", "."]);
    git(&repository, &["commit", "--quiet", "-m", "files"]);
    git(&repository, &["tag", "v3.2026.2.0"]);
    Server::start(|port| {
        // the daemon itself: `git daemon` would leave it behind when killed
        let folder = stdout(Command::new("git").arg("--exec-path"));
        let mut command = Command::new(Utf8Path::new(folder.trim()).join("git-daemon"));
        command
            .args(["--export-all", "--listen=127.0.0.1"])
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={repositories}"))
            .arg(repositories);
        command
    })
}

/// The same, which gives trees without their files, as forges do.
fn filtering_git_server(repositories: &Utf8Path, content: &Utf8Path) -> Server {
    let server = git_server(repositories, content);
    let module = repositories.join("module");
    git(&module, &["config", "uploadpack.allowFilter", "true"]);
    server
}

#[test]
fn git_places_are_asked_in_order() {
    let sample = Sample::new();
    let files = sample.new_module_files();
    let repositories = tempfile::tempdir().unwrap();
    let server = git_server(Utf8Path::from_path(repositories.path()).unwrap(), &files);
    let dead = format!("git://127.0.0.1:{}/module", free_port());
    let good = format!("git://127.0.0.1:{}/module", server.port);
    sample.pin_module(&json!([
        { "git": dead, "rev": "v3.{version}" },
        { "git": good, "rev": "no-such-tag" },
        { "git": good, "rev": "v3.{version}", "path": "no/such/folder" },
        { "git": good, "rev": "v3.{version}" },
    ]));
    let said = sample.build_with_module(&[]);
    for part in [
        format!("git: {dead} v3.2026.2.0 can't be had from there"),
        format!("git: {good} no-such-tag can't be had from there"),
        format!("git: {good} v3.2026.2.0 has no no/such/folder"),
        format!("taken from git: {good} v3.2026.2.0"),
    ] {
        assert!(said.contains(&part), "{part}\n{said}");
    }
}

/// The server lacks what a file holds that nobody wants, so that whoever fetches all gets nothing.
#[test]
fn only_the_wanted_files_of_a_git_place_are_fetched() {
    let sample = Sample::new();
    let files = sample.new_module_files();
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let content = folder.join("content");
    stdout(Command::new("cp").arg("-r").arg(&files).arg(&content));
    fs_err::write(content.join("unwanted"), "of no use").unwrap();
    let server = filtering_git_server(folder, &content);
    let module = folder.join("module");
    let object = stdout(common::git(&module).args(["rev-parse", "HEAD:unwanted"]));
    let (two, rest) = object.trim().split_at(2);
    fs_err::remove_file(module.join(format!(".git/objects/{two}/{rest}"))).unwrap();
    let url = format!("git://127.0.0.1:{}/module", server.port);
    sample.pin_module(&json!([{ "git": url, "rev": "v3.{version}" }]));
    sample.pin("client-go", |pin| {
        pin["files"] = json!(["go.mod", "go.sum"]);
    });
    sample.build_with_module(&[]);
}

/// The way to what is wanted goes through a link.
#[test]
fn what_a_git_place_has_behind_a_link_is_found() {
    let sample = Sample::new();
    let files = sample.new_module_files();
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let content = folder.join("content");
    fs_err::create_dir(&content).unwrap();
    stdout(
        Command::new("cp")
            .arg("-r")
            .arg(&files)
            .arg(content.join("real")),
    );
    std::os::unix::fs::symlink("real", content.join("link")).unwrap();
    let server = filtering_git_server(folder, &content);
    let url = format!("git://127.0.0.1:{}/module", server.port);
    sample.pin_module(&json!([{ "git": url, "rev": "v3.{version}", "path": "link" }]));
    sample.pin("client-go", |pin| {
        pin["files"] = json!(["go.mod", "go.sum"]);
    });
    sample.build_with_module(&[]);
}

/// Settings of git for an address that a server stands in for; with others that would stop any fetch,
/// run a program or send a secret.
fn git_settings(folder: &Utf8Path, port: u16) -> Utf8PathBuf {
    let path = folder.join("gitconfig-of-the-user");
    let text = format!(
        "[url \"git://127.0.0.1:{port}/\"]
            insteadOf = https://unreachable.invalid/
            pushInsteadOf = https://elsewhere.invalid/
        [protocol]
            allow = never
        [credential]
            helper = \"!touch {folder}/ran\"
        [core]
            hooksPath = {folder}/hooks
            fsmonitor = {folder}/fsmonitor
            sshCommand = touch {folder}/ran
        [http]
            extraHeader = X-Token: of-the-user\n"
    );
    fs_err::write(&path, text).unwrap();
    path
}

/// The one setting of [`git_settings`] that builders get.
fn handed_git_settings(port: u16) -> String {
    format!("[url \"git://127.0.0.1:{port}/\"]\n\tinsteadOf = \"https://unreachable.invalid/\"\n")
}

#[test]
fn git_asks_where_its_user_would() {
    let sample = Sample::new();
    let files = sample.new_module_files();
    let repositories = tempfile::tempdir().unwrap();
    let server = git_server(Utf8Path::from_path(repositories.path()).unwrap(), &files);
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    // Builders have to get to what is in it.
    fs_err::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let settings = git_settings(folder, server.port);
    sample.pin_module(&json!([
        { "git": "https://unreachable.invalid/module", "rev": "v3.{version}" },
    ]));
    let said = sample.build_with_module(&[
        ("GIT_CONFIG_GLOBAL", settings.as_str()),
        ("TMPDIR", folder.as_str()),
    ]);
    let taken = "taken from git: https://unreachable.invalid/module v3.2026.2.0";
    assert!(said.contains(taken), "{said}");
    assert!(!folder.join("ran").exists());
    // They are handed over in a variable, and lie in no file.
    let mut find = Command::new("find");
    assert_eq!(stdout(find.arg(folder).args(["-name", "gitconfig"])), "");
}

#[test]
fn git_is_told_by_a_variable_where_no_folder_is_shown() {
    let sample = Sample::new();
    let files = sample.new_module_files();
    let repositories = tempfile::tempdir().unwrap();
    let server = git_server(Utf8Path::from_path(repositories.path()).unwrap(), &files);
    sample.pin_module(&json!([
        { "git": "https://unreachable.invalid/module", "rev": "v3.{version}" },
    ]));
    let mut build = nix("nix-build");
    build
        .arg(root().join("containers/authentik"))
        .args(host_pkgs())
        .args(["--argstr", "pins", sample.path.join("pins.json").as_str()])
        .args(["--no-out-link", "-A", "sources.client-go"])
        .env("FETCH_GITCONFIG", handed_git_settings(server.port));
    let output = run(&mut build);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("taken from git: https://unreachable.invalid/module"),
        "{said}"
    );
}

#[test]
fn other_content_than_pinned_is_never_built() {
    let sample = Sample::new();
    let files = sample.new_module_files();
    let repositories = tempfile::tempdir().unwrap();
    let server = git_server(Utf8Path::from_path(repositories.path()).unwrap(), &files);
    let served = hash(&files, false);
    // pinned is what comes after
    sample.new_module_files();
    let pinned = hash(&files, false);
    assert_ne!(served, pinned);
    sample.pin_module(&json!([{
        "git": format!("git://127.0.0.1:{}/module", server.port),
        "rev": "v3.{version}",
    }]));
    let output = run(&mut sample.build("client-go"));
    assert_eq!(output.status.code(), Some(1));
    let row: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(row["state"], "hash mismatch");
    assert_eq!(row["out"], Value::Null);
    let said = text(&output.stderr);
    for part in [&*served, &*pinned, "sources.client-go.hash"] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

#[test]
fn a_go_module_comes_through_the_proxy_of_the_machine() {
    let sample = Sample::new();
    let files = sample.new_module_files();
    let proxy = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(proxy.path()).unwrap();
    let versions = folder.join("goauthentik.io/api/v3/@v");
    fs_err::create_dir_all(&versions).unwrap();
    let version = "v3.2026.2";
    fs_err::write(
        versions.join(format!("{version}.info")),
        format!(r#"{{ "Version": "{version}", "Time": "2026-02-24T00:00:00Z" }}"#),
    )
    .unwrap();
    fs_err::copy(
        files.join("go.mod"),
        versions.join(format!("{version}.mod")),
    )
    .unwrap();
    // The zip of a module holds its files under MODULE@VERSION/.
    let inside = folder.join(format!("zip/goauthentik.io/api/v3@{version}"));
    fs_err::create_dir_all(&inside).unwrap();
    for file in ["go.mod", "go.sum"] {
        fs_err::copy(files.join(file), inside.join(file)).unwrap();
    }
    stdout(
        Command::new("/usr/bin/python3")
            .args(["-c", "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w') as z:\n for name in sys.argv[2:]: z.write(name)"])
            .arg(versions.join(format!("{version}.zip")))
            .args(["go.mod", "go.sum"].map(|file| format!("goauthentik.io/api/v3@{version}/{file}")))
            .current_dir(folder.join("zip")),
    );
    let server = Server::start(|port| {
        let mut command = Command::new("/usr/bin/python3");
        command
            .args([
                "-m",
                "http.server",
                "--bind",
                "127.0.0.1",
                &port.to_string(),
            ])
            .current_dir(folder);
        command
    });
    sample.pin_module(&json!([{ "go": "goauthentik.io/api/v3", "version": version }]));
    // As `go env -w` leaves it: not in the environment, where Nix itself could hand it on.
    let settings = folder.join("go.env");
    fs_err::write(
        &settings,
        format!("GOPROXY=http://127.0.0.1:{}\n", server.port),
    )
    .unwrap();
    let path = path_with_go();
    let environment = [("GOENV", settings.as_str()), ("PATH", &path)];
    let said = sample.build_with_module(&environment);
    let part = format!("taken from go: goauthentik.io/api/v3 {version}");
    assert!(said.contains(&part), "{said}");
}

#[test]
fn a_file_is_the_last_resort() {
    let sample = Sample::new();
    sample.new_module_files();
    let dead = format!("git://127.0.0.1:{}/module", free_port());
    sample.pin_module(&json!([{ "git": dead, "rev": "v3.{version}" }, { "file": "client-go" }]));
    let said = sample.build_with_module(&[]);
    assert!(said.contains("taken from file: "), "{said}");
}

#[test]
fn without_a_network_every_place_is_named() {
    let sample = Sample::new();
    sample.new_module_files();
    sample.pin_module(&json!([
        { "git": "https://github.com/goauthentik/client-go.git", "rev": "v3.{version}" },
        { "npm": "@goauthentik/api", "version": "{version}" },
        { "go": "goauthentik.io/api/v3", "version": "v3.{version}" },
    ]));
    let build = sample.build("client-go");
    // A network namespace of its own has no way out.
    let mut command = Command::new("unshare");
    command.args(["--net", "--map-root-user"]);
    if rootless(&mut command) {
        not_tested("no network namespace can be made here (unshare --net failed)");
        return;
    }
    command.arg(build.get_program()).args(build.get_args());
    command.current_dir(root());
    let output: Output = run(&mut command);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "git: https://github.com/goauthentik/client-go.git v3.2026.2.0 can't be had from there",
        "npm: @goauthentik/api 2026.2.0 can't be had from there",
        "go: goauthentik.io/api/v3 v3.2026.2.0 can't be had from there",
        "none of the 3 places of the pin client-go has it",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let row: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(row["state"], "failed");
}

/// As root the namespace needs no mapping; elsewhere it may be forbidden.
fn rootless(command: &mut Command) -> bool {
    let root = stdout(Command::new("id").arg("-u")).trim() == "0";
    if root {
        *command = Command::new("unshare");
        command.arg("--net");
    }
    let mut probe = Command::new("unshare");
    probe.args(command.get_args()).arg("true");
    !run(&mut probe).status.success()
}

#[test]
fn a_file_that_is_not_what_its_pin_says() {
    let sample = Sample::new();
    let schema = sample.path.join("schema.yml");
    let mut changed = fs_err::read_to_string(&schema).unwrap();
    changed.push_str("# changed\n");
    fs_err::write(&schema, changed).unwrap();
    let output = run(&mut sample.build("client-ts"));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let sri = hash(&schema, true);
    for part in [
        "sources.schema.hash: hash mismatch",
        &format!("got:       {sri}"),
        &format!(
            "pin:       `sources.schema.hash` in {}",
            sample.path.join("pins.json")
        ),
        "accept it: `cargo xtask test-build client-ts ",
        "--write-pins`",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    // The remedy that it names works, and changes nothing else.
    let before = fs_err::read_to_string(sample.path.join("pins.json")).unwrap();
    let output = run(sample.build("client-ts").arg("--write-pins"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let after = fs_err::read_to_string(sample.path.join("pins.json")).unwrap();
    let old = said.split_once("specified: ").unwrap().1;
    let old = old.split_whitespace().next().unwrap();
    assert_eq!(after, before.replace(old, &sri));
}

#[test]
fn a_working_tree_is_built_as_it_is() {
    let sample = Sample::new();
    // Its own version, and a schema that no pin knows.
    let manifest = sample.path.join("package.json");
    let text_of = fs_err::read_to_string(&manifest).unwrap();
    fs_err::write(&manifest, text_of.replace("2026.2.0", "2026.99.1")).unwrap();
    let schema = sample.path.join("schema.yml");
    let text_of = fs_err::read_to_string(&schema).unwrap();
    fs_err::write(
        &schema,
        text_of.replace("core_users_me_retrieve", "core_users_myself_retrieve"),
    )
    .unwrap();
    let lines = stdout(
        xtask()
            .args([
                "test-build",
                "client-ts",
                "--pkgs",
                "host",
                "--no-tests",
                "--json",
                "--source",
            ])
            .arg(&sample.path),
    );
    let row: Value = serde_json::from_str(&lines).unwrap();
    let client = Utf8Path::new(row["out"].as_str().unwrap());
    assert!(
        client.as_str().ends_with("-client-ts-2026.99.1"),
        "{client}"
    );
    let api = fs_err::read_to_string(client.join("src/apis/CoreApi.ts")).unwrap();
    assert!(api.contains("coreUsersMyselfRetrieve"));
    // A change elsewhere in the tree makes no other derivation: only what is needed goes in.
    fs_err::write(sample.path.join("README.md"), "elsewhere").unwrap();
    let again = stdout(
        nix("nix-instantiate")
            .arg(root().join("containers/authentik/test-build.nix"))
            .args(host_pkgs())
            .args([
                "--argstr",
                "source",
                sample.path.as_str(),
                "-A",
                "client-ts",
            ]),
    );
    assert_eq!(again.trim(), row["drv"].as_str().unwrap());
}
