//! The ways in without `cargo xtask`: flakes, nix-build and nix-env over the components, and the check over any
//! nixpkgs.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;
use test_support::common::{host_pkgs, nix, root, run, sample_copy, stdout, text};

fn json(file: &str) -> Value {
    serde_json::from_slice(&fs_err::read(root().join(file)).unwrap()).unwrap()
}

/// A folder that is called as nixpkgs is, and gives host-pkgs with a change.
fn as_nixpkgs(folder: &Utf8Path, change: &str) -> Utf8PathBuf {
    let path = folder.join("a nixpkgs");
    fs_err::create_dir_all(&path).unwrap();
    let text = format!(
        "{{ system, config, overlays }}:\n({change}) (import {}/containers/host-pkgs {{ inherit system; }})\n",
        root()
    );
    fs_err::write(path.join("default.nix"), text).unwrap();
    path
}

#[test]
fn the_flake_has_the_nixpkgs_of_the_pins() {
    let lock = json("flake.lock");
    let locked = &lock["nodes"]["nixpkgs"]["locked"];
    for container in ["authentik", "caddy"] {
        let nixpkgs = &json(&format!("containers/{container}/pins.json"))["nixpkgs"];
        assert_eq!(locked["rev"], nixpkgs["rev"], "{container}");
        assert_eq!(locked["narHash"], nixpkgs["hash"], "{container}");
        let url = format!(
            "https://github.com/{}/{}/archive/{{rev}}.tar.gz",
            locked["owner"].as_str().unwrap(),
            locked["repo"].as_str().unwrap()
        );
        assert_eq!(nixpkgs["url"], url.as_str(), "{container}");
    }
}

/// What walks the components finds all of them, and nothing goes wrong on the way.
#[test]
fn all_components_are_found_by_who_walks_them() {
    let mut command = nix("nix-env");
    command.arg("-f").arg(root()).args(["-qaP", "--no-name"]);
    let output = run(command.args(host_pkgs()));
    let (found, said) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "");
    let found: Vec<&str> = found.lines().map(str::trim).collect();
    for component in ["authentik.image", "authentik.python-deps", "caddy.caddy"] {
        assert!(found.contains(&component), "{component}: {found:?}");
    }
    let tests = stdout(
        nix("nix-instantiate")
            .arg(root().join("containers/authentik"))
            .args(host_pkgs())
            .args(["-A", "client-ts.tests"]),
    );
    assert_eq!(tests.lines().count(), 2, "{tests}");
}

/// A component is evaluated from what it is made of, and nothing else of a tree.
#[test]
fn a_component_reads_no_source_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let tree = Utf8Path::from_path(folder.path()).unwrap().join("tree");
    let sample = root().join("containers/authentik/sample");
    fs_err::create_dir_all(tree.join("scripts/api")).unwrap();
    for file in ["package.json", "schema.yml", "scripts/api/ts-templates"] {
        stdout(
            Command::new("cp")
                .args(["-r"])
                .arg(sample.join(file))
                .arg(tree.join(file)),
        );
    }
    let instantiate = |component: &str| {
        run(nix("nix-instantiate")
            .arg(root().join("containers/authentik"))
            .args(host_pkgs())
            .args(["--argstr", "source", tree.as_str(), "-A", component]))
    };
    for component in ["client-ts", "client-go", "build-tools"] {
        let output = instantiate(component);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    assert!(!instantiate("authentik-server").status.success());
}

/// What is pinned is looked at without a copy of the whole tree, in which there may be secrets.
#[test]
fn what_nothing_is_built_from_stays_out_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let tree = sample_copy(Utf8Path::from_path(folder.path()).unwrap());
    let secret = format!("secret{}.yml", tree.as_str().replace(['/', '.'], "-"));
    fs_err::write(tree.join(&secret), "password").unwrap();
    let mut pins = json("containers/authentik/sample/pins.json");
    pins["sources"]["authentik"] =
        json("containers/authentik/pins.json")["sources"]["authentik"].clone();
    let file = tree.join("pins.json");
    fs_err::write(&file, pins.to_string()).unwrap();
    let drvs = stdout(
        nix("nix-instantiate")
            .arg(root().join("containers/authentik"))
            .args(["-A", "pinned", "--arg", "findHashes", "true"])
            .args(["--argstr", "source", tree.as_str()])
            .args(["--argstr", "pins", file.as_str()])
            .args(host_pkgs()),
    );
    assert!(drvs.contains("python-deps"), "{drvs}");
    let in_store = std::fs::read_dir("/nix/store").unwrap();
    let in_store = in_store.map(|entry| entry.unwrap().path());
    let copies: Vec<_> = in_store
        .filter(|path| path.join(&secret).exists())
        .collect();
    assert!(copies.is_empty(), "{copies:?}");
}

#[test]
fn the_check_over_nixpkgs_names_what_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let check = |change: &str| {
        let nixpkgs = as_nixpkgs(folder, change);
        run(Command::new(root().join("tools/over-nixpkgs"))
            .args(["--pins", "containers/authentik/sample/pins.json"])
            .arg(&nixpkgs)
            .current_dir(root()))
    };
    let output = check("pkgs: pkgs");
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(" components and tests evaluate\n"), "{said}");

    // a tool that is no more: those that are made with it are named, and no others
    let output = check(
        "pkgs: pkgs // { callPackage = f: args: pkgs.callPackage f (args // { newScope = extra: \
         pkgs.newScope ({ typescript = throw \"typescript was removed\"; } // extra); }); }",
    );
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "FAIL  authentik.client-ts: ",
        "typescript was removed",
        "FAIL  authentik.image: ",
        "ok    authentik.client-go\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let output = run(Command::new(root().join("tools/over-nixpkgs")).arg("/no/such"));
    assert_eq!(output.status.code(), Some(2));
}
