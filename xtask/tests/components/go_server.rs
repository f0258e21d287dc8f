//! The Go server and what it is built with: `buildGoModule`, its module FOD, the hook that puts the
//! generated API client into it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use test_support::common::{
    hash, host_pkgs, nix, path_with_go, root, run, sample_copy, stdout, text, xtask,
};
use test_support::harness::accepted;

/// An attribute of one of the Nix files with cases, over host-pkgs.
fn build(file: &str, attribute: &str) -> Command {
    let mut command = nix("nix-build");
    command
        .arg(root().join("xtask/tests/cases").join(file))
        .args(host_pkgs())
        .args(["--no-out-link", "-A", attribute]);
    command
}

/// `test-build` over host-pkgs with JSON lines.
fn test_build(arguments: &[&str]) -> Command {
    let mut command = xtask();
    command
        .args(["test-build", "authentik-server", "--pkgs", "host", "--json"])
        .args(arguments);
    command
}

/// The pinned hash of the sample's Go modules.
fn pinned_hash() -> String {
    let pins = root().join("containers/authentik/sample/pins.json");
    let pins: Value = serde_json::from_slice(&fs_err::read(pins).unwrap()).unwrap();
    pins["go"]["vendorHash"].as_str().unwrap().to_owned()
}

#[test]
fn what_holds_over_nixpkgs_holds_here() {
    // Fetched and hashed without Nix, from the proxy that Nix's builders use: Go's settings may name it in a file.
    let path = path_with_go();
    let proxy = stdout(
        Command::new("go")
            .args(["env", "GOPROXY"])
            .env("PATH", &path),
    );
    let source = root().join("xtask/tests/cases/go-module");
    let proxied = stdout(
        xtask()
            .args([
                "compute-vendor-hash",
                "--proxy-vendor",
                "--mod-root",
                "nested",
            ])
            .args(["--source", source.as_str()])
            .env("PATH", path),
    );
    let outputs = stdout(
        build("go-module.nix", "holds")
            .env("GOPROXY", proxy.trim())
            .args(["--argstr", "proxiedHash", proxied.trim()])
            .arg("--keep-going"),
    );
    assert!(outputs.lines().count() >= 10, "{outputs}");
}

#[test]
fn what_it_cannot_do_is_refused_by_name() {
    let names = stdout(
        nix("nix-instantiate")
            .args(["--eval", "--strict", "--json"])
            .arg(root().join("xtask/tests/cases/go-module.nix"))
            .args(host_pkgs())
            .args(["-A", "reasons"]),
    );
    let names: Vec<String> = serde_json::from_str(&names).unwrap();
    assert!(names.len() >= 11);
    for name in names {
        let output = run(&mut build("go-module.nix", &format!("refused.\"{name}\"")));
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{name}: not refused");
        assert!(said.contains(&name), "{name}: refused as:\n{said}");
    }
}

#[test]
fn the_sample_s_server_speaks_the_generated_client() {
    let lines = stdout(&mut test_build(&["--sample"]));
    let rows: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<&str> = rows
        .iter()
        .map(|row| row["component"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "authentik-server",
            "authentik-server.tests.api",
            "authentik-server.tests.build-id",
            "authentik-server.tests.help",
            "authentik-server.tests.paths"
        ]
    );
    let server = Utf8Path::new(rows[0]["out"].as_str().unwrap());
    // The paths in the program keep what they name from Nix's garbage collector.
    let references = stdout(nix("nix-store").args(["-q", "--references"]).arg(server));
    for name in ["-server-lifecycle-", "-icons-"] {
        assert!(references.contains(name), "{references}");
    }
    assert!(!references.contains("-go-1."), "{references}");

    // What the published client of the sample can't do: ask an API.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/v3", listener.local_addr().unwrap());
    let api = std::thread::spawn(move || {
        let mut stream = accepted(&listener);
        let mut request = String::new();
        BufReader::new(&stream).read_line(&mut request).unwrap();
        let user = json!({
            "pk": 1, "username": "akadmin", "name": "", "is_active": true, "is_superuser": true,
            "groups": [], "settings": {}, "system_permissions": [],
        });
        let body = json!({ "user": user }).to_string();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        request
    });
    let said = stdout(Command::new(server.join("bin/authentik")).args(["whoami", &url]));
    assert_eq!(said, "akadmin\n");
    let request = api.join().unwrap();
    assert!(
        request.starts_with("GET /api/v3/core/users/me/ "),
        "{request}"
    );
}

/// The proof that the client is ours is one of what is shipped: it links nothing in its place, and that other paths
/// take the place of its own later makes no difference to compiling it with them.
#[test]
fn the_server_is_what_buildgomodule_linked() {
    // what these need from registries
    stdout(&mut test_build(&["--sample", "--no-tests", "-q"]));
    let programs = ["of-the-whole", "without-proof"].map(|attribute| {
        let out = stdout(&mut build("go-server.nix", attribute));
        Utf8PathBuf::from(out.trim()).join("bin/authentik")
    });
    let [shipped, linked] = programs.each_ref().map(|it| fs_err::read(it).unwrap());
    // the two have their own paths nowhere in them
    assert!(shipped == linked, "{programs:?}");
}

#[test]
fn another_client_than_ours_fails_the_build() {
    let output = run(&mut build("go-server.nix", "with-a-lying-hook"));
    let said = text(&output.stderr);
    assert!(!output.status.success());
    for part in [
        "apiGoVendorHook: vendor/goauthentik.io/api/v3 becomes /nix/store/",
        "the API client in the server is not /nix/store/",
        "\ngoauthentik.io/api/v3\n",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let output = run(&mut build("go-server.nix", "nothing-to-replace"));
    let said = text(&output.stderr);
    assert!(
        said.contains("there is no vendor/goauthentik.io/api/v3"),
        "{said}"
    );
    assert!(!output.status.success());
}

#[test]
fn the_hook_stays_out_of_module_fods() {
    let pinned = pinned_hash();
    for attribute in [
        "modules-by-empty-hash",
        "modules-by-fake-hash",
        "modules-by-override",
    ] {
        let output = run(&mut build("go-server.nix", attribute));
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{attribute}");
        assert!(!said.contains("apiGoVendorHook"), "{attribute}: {said}");
        // the modules as published, without our client and our paths
        let got = format!("got:    {pinned}");
        assert!(said.contains(&got), "{attribute}: {said}");
    }
}

#[test]
fn a_stale_vendor_hash_is_explained_by_its_pin() {
    let folder = tempfile::tempdir().unwrap();
    let sample = sample_copy(Utf8Path::from_path(folder.path()).unwrap());
    let pins = sample.join("pins.json");
    let before = fs_err::read_to_string(&pins).unwrap();
    let (good, stale) = (pinned_hash(), hash(&sample.join("go.mod"), true));
    fs_err::write(&pins, before.replace(&good, &stale)).unwrap();
    let build = || test_build(&["--no-tests", "--pins", pins.as_str()]);

    let output = run(&mut build());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        &format!("got:       {good}"),
        &format!("pin:       `go.vendorHash` in {pins}"),
        "--write-pins`",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }

    let output = run(build().arg("--write-pins"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(fs_err::read_to_string(&pins).unwrap(), before);
}

#[test]
fn the_server_s_tests_refuse_another() {
    stdout(&mut build("go-server.nix", "judged-good"));
    for (attribute, part) in [
        (
            "judged-without-paths",
            "the server does not hold /nix/store/",
        ),
        ("judged-with-old-paths", "the server still holds ./web/dist"),
        ("judged-with-build-id", "the server has a build ID"),
        (
            "judged-without-help",
            "authentik-server-help-2026.2.0.drv' failed",
        ),
    ] {
        let output = run(&mut build("go-server.nix", attribute));
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{attribute} passed");
        assert!(said.contains(part), "{attribute}: {said}");
    }
}
