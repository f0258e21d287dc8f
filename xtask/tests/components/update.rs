//! `update`: releases of repositories of others, what a new tree changes, and moves of the sample and of a program
//! of Go modules.

use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use test_support::common::{git, nix, root, run, sample_copy, stdout, text};
use test_support::harness::Harness;
use test_support::upstream::Daemon;

/// A repository with tags as upstream has them, each an edited sample, and the pins that name it.
struct Upstream {
    harness: Harness,
    /// The tree that the next commit is made of.
    tree: Utf8PathBuf,
    pins: Utf8PathBuf,
}

/// Replaces text of a file, which has to be there.
fn edit(path: &Utf8Path, from: &str, to: &str) {
    let text = fs_err::read_to_string(path).unwrap();
    assert!(text.contains(from), "{path}: {from}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

impl Upstream {
    /// With 2026.2.0, which is pinned.
    fn new() -> Self {
        let harness = Harness::of_this_repository();
        let folder = harness.root().join("upstream");
        fs_err::create_dir(&folder).unwrap();
        let tree = sample_copy(&folder);
        stdout(git(&folder).args(["init", "--quiet", "--bare", "repository.git"]));
        let pins = folder.join("pins.json");
        let release = harness.root().join("containers/authentik/pins.json");
        let mut value: Value =
            serde_json::from_str(&fs_err::read_to_string(release).unwrap()).unwrap();
        let place = |path: Option<&str>| {
            let url = format!("file://{folder}/repository.git");
            match path {
                Some(path) => json!([{ "git": url, "rev": "version/{version}", "path": path }]),
                None => json!([{ "git": url, "rev": "version/{version}" }]),
            }
        };
        value["sources"]["authentik"]["places"] = place(None);
        value["sources"]["schema"]["places"] = place(Some("schema.yml"));
        value["sources"]["ts-templates"]["places"] = place(Some("scripts/api/ts-templates"));
        value["sources"]["client-go"]["places"] =
            json!([{ "go": "goauthentik.io/api/v3", "version": "v3.{version}" }]);
        std::fs::write(&pins, serde_json::to_string_pretty(&value).unwrap()).unwrap();
        let upstream = Self {
            harness,
            tree,
            pins,
        };
        upstream.release("2026.2.0");
        upstream
    }

    fn git(&self) -> Command {
        let mut command = git(&self.tree);
        command.args(["--git-dir", "../repository.git", "--work-tree", "."]);
        command
    }

    /// Commits the tree, with this version in its package.json, under upstream's name of a tag.
    fn release(&self, version: &str) {
        let path = self.tree.join("package.json");
        let mut manifest: Value =
            serde_json::from_str(&fs_err::read_to_string(&path).unwrap()).unwrap();
        manifest["version"] = version.into();
        std::fs::write(&path, serde_json::to_string_pretty(&manifest).unwrap()).unwrap();
        stdout(self.git().args(["add", "--all", "--force", "."]));
        stdout(self.git().args(["commit", "--quiet", "--message", version]));
        stdout(
            self.git()
                .args(["tag", "--force", &format!("version/{version}")]),
        );
    }

    /// Pins what the sample pins for its first release, with this address for the source.
    fn pin_served(&self, url: &str) {
        let (tree, folder) = (&self.tree, self.tree.parent().unwrap());
        let mut pins: Value =
            serde_json::from_str(&fs_err::read_to_string(tree.join("pins.json")).unwrap()).unwrap();
        let checkout = folder.join("checkout");
        stdout(git(folder).args([
            "clone",
            "--quiet",
            "--branch",
            "version/2026.2.0",
            "repository.git",
            "checkout",
        ]));
        fs_err::remove_dir_all(checkout.join(".git")).unwrap();
        let place = json!({ "git": url, "rev": "version/{version}" });
        let part = |path: &str| json!([{ "git": url, "rev": "version/{version}", "path": path }]);
        pins["sources"]["authentik"] =
            json!({ "hash": test_support::common::hash(&checkout, false), "places": [place] });
        pins["sources"]["schema"]["places"] = part("schema.yml");
        pins["sources"]["ts-templates"]["places"] = part("scripts/api/ts-templates");
        pins["sources"]["client-go"]["places"] = part("client-go");
        pins["go"]["source"] = "authentik".into();
        // that of another package set would be removed
        let set = stdout(
            nix("nix-instantiate")
                .args(["--eval", "--json", "-A", "packageSet"])
                .arg(root().join("containers/host-pkgs")),
        );
        let set: String = serde_json::from_str(&set).unwrap();
        let hash = VENVS.iter().find(|(name, _)| *name == set);
        let (_, hash) = hash.unwrap_or_else(|| panic!("the venv over {set} is not known"));
        pins["python"]["venv"] = json!({ set: { "x86_64-linux": hash } });
        std::fs::write(&self.pins, serde_json::to_string_pretty(&pins).unwrap()).unwrap();
    }

    /// `update` with these pins: exit code, stdout, stderr.
    fn update(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(test_support::common::program());
        command
            .current_dir(self.harness.root())
            .env_remove("CARGO_MANIFEST_DIR")
            .args(["update", "--pkgs", "host", "--pins", self.pins.as_str()])
            .args(arguments);
        let output = run(&mut command);
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// The codes of what is found, by kind.
    fn codes(&self, arguments: &[&str]) -> (Option<i32>, Vec<String>, Vec<String>) {
        let (code, out, said) = self.update(&[arguments, &["--json"]].concat());
        let notes: Vec<Value> = out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}\n{said}")))
            .collect();
        let of = |kind: &str| {
            let notes = notes.iter().filter(|note| note["kind"] == kind);
            notes
                .map(|note| note["code"].as_str().unwrap().to_owned())
                .collect()
        };
        (code, of("decide"), of("information"))
    }
}

#[test]
fn what_a_patch_release_changes() {
    let upstream = Upstream::new();
    let tree = &upstream.tree;
    upstream.release("2026.2.1");
    let (code, out, said) = upstream.update(&["--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    // Trees that were fetched are at hand the next time.
    let trees = upstream
        .harness
        .root()
        .join("target/xtask/update/authentik");
    let folders = || {
        let entries = trees.read_dir_utf8().unwrap().map(Result::unwrap);
        let folder =
            |it: camino::Utf8DirEntry| (it.file_name().to_owned(), it.metadata().unwrap().ino());
        entries
            .map(folder)
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let fetched = folders();
    assert_eq!(fetched.len(), 3, "{fetched:?}");
    assert_eq!(upstream.update(&["--dry-run"]).1, out);
    assert_eq!(folders(), fetched);
    // What would change, as far as it is known without a build.
    let unchanged = "nothing that the expressions rely on changed\npin ";
    assert!(out.starts_with(unchanged), "{out}");
    let rows: Vec<Vec<&str>> = out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let row = |pin: &str| rows.iter().find(|row| row.first() == Some(&pin)).unwrap();
    assert_eq!(row("go.vendorHash")[1..], ["to", "be", "found"]);
    assert_eq!(row("sources.npm.hash")[1..], ["same,", "not", "rebuilt"]);
    assert_eq!(row("sources.authentik.hash")[1], "changed");
    // A line that is replaced moves on and changes.
    edit(
        &tree.join("authentik/root/settings.py"),
        "BASE_DIR = Path(__file__)",
        "# moved\nBASE_DIR = root(__file__)",
    );
    fs_err::copy(
        tree.join("authentik/core/migrations/0056_user_roles.py"),
        tree.join("authentik/core/migrations/0058_more.py"),
    )
    .unwrap();
    edit(
        &tree.join("authentik/lib/default.yml"),
        "http: 0.0.0.0:9000",
        "http: \"[::]:9000\"",
    );
    upstream.release("2026.2.2");
    let (code, out, said) = upstream.update(&["--dry-run"]);
    assert_eq!(code, Some(1), "{said}");
    let here = "    here containers/authentik/authentik-django.nix:";
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "a person must decide:", "{out}");
    assert!(lines[2].starts_with(here), "{out}");
    assert!(
        lines[3].starts_with("    was  authentik/root/settings.py:"),
        "{out}"
    );
    assert!(lines[4].contains("BASE_DIR = root(__file__)"), "{out}");
    assert_eq!(lines[5], "for information:");
    assert!(
        lines[6].contains("1 new migration: authentik/core/migrations/0058_more.py"),
        "{out}"
    );
    assert!(
        lines[8].ends_with("listen.http: 0.0.0.0:9000 -> [::]:9000"),
        "{out}"
    );
    assert_eq!(lines.len(), 9, "{out}");
}

/// What upstream's main branch did after 2026.2, done to the sample.
#[test]
fn a_tree_of_the_next_line_is_checked() {
    let upstream = Upstream::new();
    let tree = &upstream.tree;
    fs_err::create_dir_all(tree.join("packages/client-ts/src")).unwrap();
    fs_err::rename(
        tree.join("scripts/api/ts-templates"),
        tree.join("packages/client-ts/templates"),
    )
    .unwrap();
    let module = tree.join("go.mod");
    edit(&module, "\tgoauthentik.io/api/v3 v3.2026020.0\n", "");
    edit(&module, "go 1.25\n", "go 1.26.0\n");
    edit(
        &tree.join("internal/ak/ak.go"),
        "\"goauthentik.io/api/v3\"",
        "\"goauthentik.io/packages/client-go\"",
    );
    edit(&tree.join("web/package.json"), ">=11.6.2", ">=11.10.1");
    edit(&tree.join("lifecycle/ak"), ">/dev/stderr", ">&2");
    fs_err::os::unix::fs::symlink(
        "../../packages/client-ts",
        tree.join("web/packages/client-ts"),
    )
    .unwrap();
    std::fs::write(
        tree.join("Cargo.toml"),
        "[workspace]\nmembers = [\n  \"packages/ak-axum\",\n]\n",
    )
    .unwrap();
    std::fs::write(tree.join("authentik/flows/migrations/0002_more.py"), "").unwrap();
    edit(
        &tree.join("authentik/lib/default.yml"),
        "workers: 2",
        "workers: 3",
    );
    let before = fs_err::read(&upstream.pins).unwrap();
    let source = ["--dry-run", "--source", tree.as_str()];
    let (code, decide, information) = upstream.codes(&source);
    assert_eq!(code, Some(1));
    assert_eq!(
        decide,
        [
            "path-gone",
            "module-gone",
            "go",
            "npm",
            "patch-gone",
            "link-out"
        ]
    );
    assert_eq!(information, ["migrations", "defaults", "rust"]);
    let (_, out, _) = upstream.update(&source);
    for line in [
        "    now  packages/client-ts/templates: has files of the same names",
        "    now  internal/ak/ak.go:7: \"goauthentik.io/packages/client-go\"",
        "    now  go.mod:3: 1.26.0",
        "    now  web/packages/client-ts: -> ../../packages/client-ts",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    assert_eq!(fs_err::read(&upstream.pins).unwrap(), before);
    // Nobody is asked once the pinned tree is here; without it, what can be compared is.
    fs_err::remove_dir_all(tree.parent().unwrap().join("repository.git")).unwrap();
    assert_eq!(upstream.codes(&source).1, decide);
    fs_err::remove_dir_all(upstream.harness.root().join("target/xtask/update")).unwrap();
    let (code, _, said) = upstream.update(&source);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("the tree of 2026.2.0 is not at hand"),
        "{said}"
    );
    let (code, _, said) = upstream.update(&["--list"]);
    assert_eq!(code, Some(2));
    assert!(
        said.contains("no place says which releases there are"),
        "{said}"
    );
}

#[test]
fn a_repository_of_others_starts_nothing_and_leads_nowhere() {
    let upstream = Upstream::new();
    let tree = &upstream.tree;
    let root = upstream.harness.root();
    // Hooks of a template and a helper, as the user's own settings may have them.
    let done = root.join("done");
    upstream.harness.write(
        "template/hooks/post-checkout",
        &format!("#!/bin/sh\ntouch {done}\n"),
    );
    stdout(
        Command::new("chmod")
            .arg("+x")
            .arg(root.join("template/hooks/post-checkout")),
    );
    upstream.harness.write(
        "gitconfig",
        &format!(
            "[init]\n\ttemplateDir = {root}/template\n[filter \"lfs\"]\n\tsmudge = touch {done}\n\trequired = true\n"
        ),
    );
    upstream.harness.write("secret", "go 1.99\n");
    fs_err::remove_file(tree.join("go.mod")).unwrap();
    fs_err::os::unix::fs::symlink(root.join("secret"), tree.join("go.mod")).unwrap();
    std::fs::write(tree.join(".gitattributes"), "*.yml filter=lfs\n").unwrap();
    edit(
        &tree.join("lifecycle/ak"),
        ">/dev/stderr",
        ">/dev/std\u{1b}[31merr",
    );
    upstream.release("2026.2.1");
    let mut command = Command::new(test_support::common::program());
    command
        .current_dir(&root)
        .env("GIT_CONFIG_GLOBAL", root.join("gitconfig"))
        .env_remove("CARGO_MANIFEST_DIR")
        .args(["update", "--dry-run", "--pins", upstream.pins.as_str()]);
    let output = run(&mut command);
    let (out, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!done.exists(), "{said}");
    assert!(out.contains("/dev/std\\x1b[31merr"), "{out}");
    assert!(!out.contains("1.99") && !out.contains('\u{1b}'), "{out}");
}

#[test]
fn who_has_no_releases_says_so() {
    let upstream = Upstream::new();
    let other = upstream.harness.root().join("containers/other");
    fs_err::create_dir(&other).unwrap();
    upstream
        .harness
        .write("containers/other/test-build.nix", "{ ... }: { }\n");
    upstream
        .harness
        .write("containers/other/pins.json", "{ \"version\": \"1.0\" }\n");
    let (code, _, said) = upstream.update(&["--list", "other"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("other has no releases to follow"), "{said}");
    let (code, _, said) = upstream.update(&["--list", "cady"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("cady"), "{said}");
}

/// The venv of the sample's packages that are not compiled here, by package set; `update` says so if it is another one.
const VENVS: [(&str, &str); 2] = [
    (
        "host-debian-12",
        "sha256-hA3aobYlzipgTc21mv9dNulI5gvrLD3iM5ui/VgS9Jc=",
    ),
    (
        "host-debian-13",
        "sha256-2ty0igHaQAbVdD/YA9QZuj7P7NIsZHe+Go8+L0xy9Ts=",
    ),
];

/// The real expressions, over releases of the sample: Go dependencies only, then a lock file only, then a line
/// that is replaced.
#[test]
fn the_sample_moves_on() {
    let upstream = Upstream::new();
    let tree = &upstream.tree;
    // Each move builds the Python packages anew. Compiling some takes minutes, and is nothing to do with a move.
    for package in ["lxml==6.0.2", "psycopg[c]==3.3.2", "psycopg-c==3.3.2"] {
        let line = format!("  \"{package}\",\n");
        edit(&tree.join("pyproject.toml"), &line, "");
    }
    upstream.release("2026.2.0");
    let folder = tree.parent().unwrap();
    let daemon = Daemon::start(folder);
    let url = format!("git://127.0.0.1:{}/repository.git", daemon.port);
    upstream.pin_served(&url);

    edit(
        &tree.join("go.mod"),
        "gorilla/mux v1.8.1",
        "gorilla/mux v1.8.0",
    );
    let sums = tree.join("go.sum");
    edit(
        &sums,
        "gorilla/mux v1.8.1 h1:TuBL49tXwgrFYWhqrNgrUNEY92u81SPhu7sTdzQEiWY=",
        "gorilla/mux v1.8.0 h1:i40aqfkR1h2SlN9hojwV5ZA91wcXFOvkdNIeFDP5koI=",
    );
    edit(
        &sums,
        "gorilla/mux v1.8.1/go.mod h1:AKf9I4AEqPTmMytcMc0KkNouC66V3BtZ4qD5fmWSiMQ=",
        "gorilla/mux v1.8.0/go.mod h1:DVbg23sWSpFRCP0SfiEN6jmj59UnW/n46BH5rLB71So=",
    );
    upstream.release("2026.2.1");
    let states = |arguments: &[&str]| {
        let (code, out, said) = upstream.update(&[arguments, &["--no-build", "--json"]].concat());
        assert_eq!(code, Some(0), "{said}");
        let rows = out
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let changed = rows.filter(|row| row["state"] == "changed");
        changed
            .map(|row| row["pin"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    // The Python packages are built for each move, which takes minutes: usually both in one.
    let in_steps = test_support::common::rounds(0, 1) == 1;
    if in_steps {
        assert_eq!(
            states(&[]),
            ["version", "go.vendorHash", "sources.authentik.hash"]
        );
    }

    edit(
        &tree.join("web/package.json"),
        "\"semver\": \"6.3.1\"",
        "\"semver\": \"6.3.0\"",
    );
    let lock = tree.join("web/package-lock.json");
    edit(&lock, "\"semver\": \"6.3.1\"", "\"semver\": \"6.3.0\"");
    edit(&lock, "\"version\": \"6.3.1\"", "\"version\": \"6.3.0\"");
    edit(
        &lock,
        "sha512-BR7VvDCVHO+q2xBEWskxS6DJE1qRnb7DxzUrogb71CWoSficBxYsiAGd+Kl0mmq/MprG9yArRkyrQxTO6XjMzA==",
        "sha512-b39TBaTSfV6yBrapU89p5fKekE2m/NwnDocOVruQFS1/veMgdzuPcnOM34M6CwxW8jH/lxEa5rBoDeUwu5HHTw==",
    );
    upstream.release("2026.2.2");
    let before = fs_err::read_to_string(&upstream.pins).unwrap();
    let mut expected = vec![
        "version",
        "sources.authentik.hash",
        "web.nodeModules.x86_64-linux",
    ];
    if !in_steps {
        expected.insert(1, "go.vendorHash");
    }
    assert_eq!(states(&[]), expected);
    let after = fs_err::read_to_string(&upstream.pins).unwrap();
    let lines = before.lines().zip(after.lines());
    let differ = lines.filter(|(one, two)| one != two).count();
    assert_eq!(
        (differ, before.lines().count()),
        (expected.len(), after.lines().count()),
        "{after}"
    );
    // Go itself says the same.
    let mut compute = test_support::common::xtask();
    compute.args([
        "compute-vendor-hash",
        "--go",
        test_support::common::go(),
        "--source",
        tree.as_str(),
    ]);
    let vendor = stdout(&mut compute);
    assert!(after.contains(vendor.trim()), "{vendor}{after}");

    edit(
        &tree.join("web/static.go"),
        "\"./web/dist/\"",
        "\"./web/built/\"",
    );
    upstream.release("2026.2.3");
    let before = fs_err::read(&upstream.pins).unwrap();
    let (code, out, said) = upstream.update(&[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(out.contains("is gone from web/static.go"), "{out}");
    assert!(
        said.contains("nothing was changed: adapt the expressions to 2026.2.3"),
        "{said}"
    );
    assert_eq!(fs_err::read(&upstream.pins).unwrap(), before);
}

/// A module proxy of files, with `example.org/app` and `example.org/plugin`; the app's 1.0.2 wants a Go that is
/// not there.
const PROXY: &str = r#"
import json, pathlib, sys, zipfile
root = pathlib.Path(sys.argv[1])
for name, version, go in [
    ("app", "v1.0.0", "1.21"), ("app", "v1.0.1", "1.21"), ("app", "v1.0.2", "1.99"), ("app", "v1.1.0", "1.22"),
    ("plugin", "v0.1.0", "1.21"), ("plugin", "v0.2.0", "1.21"),
]:
    module = f"example.org/{name}"
    folder = root / module / "@v"
    folder.mkdir(parents=True, exist_ok=True)
    mod = f"module {module}\n\ngo {go}\n"
    (folder / f"{version}.mod").write_text(mod)
    (folder / f"{version}.info").write_text(json.dumps({"Version": version, "Time": "2026-01-01T00:00:00Z"}))
    with zipfile.ZipFile(folder / f"{version}.zip", "w") as archive:
        archive.writestr(f"{module}@{version}/go.mod", mod)
        archive.writestr(f"{module}@{version}/it.go", f"package {name}\n\nconst Version = \"{version}\"\n")
    with open(folder / "list", "a") as versions:
        versions.write(version + "\n")
"#;

#[test]
fn a_program_moves_on() {
    let harness = Harness::new("");
    let root = harness.root();
    harness.container(
        "proxy",
        r#"
        json = builtins.fromJSON (builtins.readFile pinsFile);
        vendor = fixed "vendor-${json.version}" json.go.vendorHash "cat ${./program/go.sum} >$out" // {
          pin = { file = pinsFile; key = [ "go" "vendorHash" ]; };
        };
        pinned = [ vendor ];
        builtBy = "go_1_21";
        proxy = sh "proxy-${json.version}" { inherit vendor; } "grep app.v${json.version} $vendor; echo >$out";
        "#,
    );
    let wrong = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    harness.write(
        "containers/proxy/pins.json",
        &format!("{{\n  \"version\": \"1.0.0\",\n  \"go\": {{ \"folder\": \"program\", \"vendorHash\": \"{wrong}\" }}\n}}\n"),
    );
    let python = |arguments: &[&str]| stdout(Command::new("python3").args(arguments));
    let proxy = root.join("goproxy");
    python(&["-c", PROXY, proxy.as_str()]);
    let program = root.join("containers/proxy/program");
    harness.write(
        "containers/proxy/program/main.go",
        "package main\n\nimport (\n\t_ \"example.org/app\"\n\t_ \"example.org/plugin\"\n)\n\nfunc main() {}\n",
    );
    harness.write(
        "containers/proxy/program/go.mod",
        "module program\n\ngo 1.21\n\nrequire (\n\texample.org/app v1.0.0\n\texample.org/plugin v0.1.0\n)\n",
    );
    let with_go = |command: &mut Command| {
        command
            .env("PATH", test_support::common::path_with_go())
            .env("GOPROXY", format!("file://{proxy}"))
            .envs([("GOSUMDB", "off"), ("GOTOOLCHAIN", "local")]);
    };
    let mut tidy = Command::new("go");
    tidy.current_dir(&program).args(["mod", "tidy"]);
    tidy.env("GOFLAGS", "-modcacherw")
        .env("GOPATH", root.join("gopath"));
    with_go(&mut tidy);
    stdout(&mut tidy);
    let built = harness.test_build(&["proxy/", "--write-pins"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);

    let update = |arguments: &[&str]| {
        let mut command = Command::new(test_support::common::program());
        command
            .current_dir(&root)
            .env_remove("CARGO_MANIFEST_DIR")
            .args(["update", "proxy", "--pkgs", "host"])
            .args(arguments);
        with_go(&mut command);
        let output = run(&mut command);
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (_, out, _) = update(&["--list"]);
    assert!(out.contains("1.0.2    1.0   newest of this line"), "{out}");
    let files = ["pins.json", "program/go.mod", "program/go.sum"];
    let read =
        || files.map(|it| fs_err::read_to_string(root.join("containers/proxy").join(it)).unwrap());
    let before = read();
    // The newest wants another Go.
    let (code, out, _) = update(&["--anyway"]);
    assert_eq!(code, Some(1));
    assert!(
        out.contains("Go 1.99 is required by example.org/app 1.0.2"),
        "{out}"
    );
    // What moved the requirements has the Go that is wanted, what builds has not.
    let (code, out, said) = update(&["--next"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        out.starts_with("a person must decide:\n- Go 1.22 is required\n"),
        "{out}"
    );
    assert!(
        out.contains("here containers/proxy/test-build.nix:"),
        "{out}"
    );
    assert_eq!(update(&["--dry-run", "--to", "1.0.1"]).0, Some(0));
    assert_eq!(read(), before);
    let (code, out, said) = update(&["--to", "1.0.1"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        out.contains("- example.org/plugin: v0.1.0 -> v0.2.0"),
        "{out}"
    );
    let after = read();
    assert!(
        after[0].contains("\"version\": \"1.0.1\"") && after[0] != before[0],
        "{}",
        after[0]
    );
    assert!(after[1].contains("example.org/app v1.0.1"), "{}", after[1]);
    assert!(
        after[2].contains("example.org/plugin v0.2.0 h1:"),
        "{}",
        after[2]
    );
    let built = harness.test_build(&["proxy/"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    assert_eq!(update(&["--to", "1.0.0"]).0, Some(2));
    // Which of two it is the version of can't be told.
    let both = after[1].replace("plugin v0.2.0", "plugin v1.0.1");
    harness.write("containers/proxy/program/go.mod", &both);
    let (code, _, said) = update(&["--list"]);
    assert_eq!(code, Some(2), "{said}");
    let which = "requires example.org/app and example.org/plugin at v1.0.1";
    assert!(said.contains(which), "{said}");
}
