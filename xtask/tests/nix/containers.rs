//! Several containers in one repository: which of them names and flags mean, and that each keeps to its
//! own pins, results and expressions.

use serde_json::json;
use test_support::common::{run, text};
use test_support::harness::{Harness, programs};

const WRONG: &str = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// Two containers, both with an `image`.
fn two() -> Harness {
    let harness = Harness::new(
        r#"
  client = sh "client" { } "echo > $out" // { meta.description = "A client"; };
  image = sh "image" { } "echo of authentik; echo > $out";
"#,
    );
    harness.container(
        "proxy",
        r#"
  image = sh "proxy-image" { } "echo of proxy; echo > $out";
  proxy = sh "proxy" { } "echo > $out" // {
    version = "3"; meta.description = "A proxy"; passthru.tests.runs = sh "runs" { } "echo > $out";
  };
"#,
    );
    harness
}

#[test]
fn the_list_is_grouped() {
    let harness = two();
    let ended = harness.test_build(&["--list"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let words = |line: &str| line.split_whitespace().next().unwrap().to_owned();
    let first: Vec<String> = ended.stdout.lines().map(words).collect();
    assert_eq!(
        first,
        [
            "component",
            "authentik/",
            "client",
            "image",
            "proxy/",
            "image",
            "proxy"
        ]
    );
    ended.says(&["sources: authentik 1.0, proxy 1.0\n"]);
    let ended = harness.test_build(&["--list", "--json", "proxy/"]);
    assert_eq!(ended.rows.len(), 2, "{}", ended.stdout);
    assert_eq!(
        *ended.row("proxy"),
        json!({
            "container": "proxy", "component": "proxy", "version": "3", "description": "A proxy",
            "tests": ["runs"]
        })
    );
    ended.says(&["sources: proxy 1.0\n"]);
}

#[test]
fn a_name_means_one_component() {
    let harness = two();
    let ended = harness.test_build(&["image"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    ended.says(&["have a component `image`: give `authentik/image` or `proxy/image`"]);

    // A name that only one has says enough, and nothing more is said of the other.
    let ended = harness.test_build(&["client", "--json"]);
    assert_eq!((ended.code, ended.state("client")), (Some(0), "built"));
    assert_eq!(ended.row("client")["container"], "authentik");
    assert!(!ended.stderr.contains("proxy"), "{}", ended.stderr);

    let ended = harness.test_build(&["proxy/image", "--json"]);
    assert_eq!((ended.code, ended.state("image")), (Some(0), "built"));
    ended.says(&["image> of proxy\n"]);
    let results = harness.root().join("target/test-build");
    let link = results.join("proxy/image").read_link_utf8().unwrap();
    assert_eq!(ended.row("image")["out"], link.as_str());
    assert!(!results.join("authentik/image").is_symlink());

    // Where components of several are built, each is called in full.
    let ended = harness.test_build(&["authentik/image", "proxy", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.says(&[
        "authentik/image> of authentik\n",
        "\nproxy/proxy.tests.runs  built",
        "sources: authentik 1.0, proxy 1.0\n",
    ]);
    let names: Vec<_> = ended
        .rows
        .iter()
        .map(|it| (&it["container"], &it["component"]))
        .collect();
    assert_eq!(
        json!(names),
        json!([
            ["authentik", "image"],
            ["proxy", "proxy"],
            ["proxy", "proxy.tests.runs"]
        ])
    );
    let other = results.join("authentik/image").read_link_utf8().unwrap();
    assert_ne!(other, link);
}

#[test]
fn all_of_one_and_all_of_all() {
    let harness = two();
    let components = |arguments: &[&str]| {
        let ended = harness.test_build(&[&["--json", "--no-tests"], arguments].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let name = |row: &serde_json::Value| {
            let word = |key: &str| row[key].as_str().unwrap().to_owned();
            format!("{}/{}", word("container"), word("component"))
        };
        ended.rows.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(components(&["proxy/"]), ["proxy/image", "proxy/proxy"]);
    assert_eq!(
        components(&["proxy/", "client"]),
        ["authentik/client", "proxy/image", "proxy/proxy"]
    );
    assert_eq!(
        components(&["--all"]),
        [
            "authentik/client",
            "authentik/image",
            "proxy/image",
            "proxy/proxy"
        ]
    );
}

#[test]
fn names_that_mean_nothing() {
    let harness = two();
    for (name, parts) in [
        (
            "prxy",
            &[
                "no component `prxy`: did you mean `proxy`?",
                "\n  proxy/image\n",
            ][..],
        ),
        (
            "proxy/client",
            &[
                "no component `proxy/client`",
                "are:\n  proxy/image\n  proxy/proxy\n",
            ],
        ),
        (
            "authentik",
            &["`authentik` is a container: `authentik/` means all its components\n"],
        ),
        (
            "none/proxy",
            &["no container `none`: there is `authentik`, `proxy`\n"],
        ),
        ("/proxy", &["`/proxy` names no container"]),
        (
            "proxy.tests.runs",
            &["is a test, it runs with its component: give `proxy`"],
        ),
    ] {
        let ended = harness.test_build(&[name]);
        assert_eq!(ended.code, Some(2), "{name}: {}", ended.stderr);
        ended.says(parts);
    }
}

#[test]
fn only_the_containers_that_can_be_meant_are_evaluated() {
    let harness = two();
    let test_build = "containers/proxy/test-build.nix";
    harness.write(test_build, "{ pkgs }: {");
    let ended = harness.test_build(&["authentik/client"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let ended = harness.test_build(&["client"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    ended.says(&["containers/proxy/test-build.nix:"]);
    // A component that does not evaluate is in nobody else's way.
    harness.write(test_build, "{ pkgs }: { proxy = throw \"no proxy here\"; }");
    let ended = harness.test_build(&["client"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn one_evaluation_however_many_containers() {
    let harness = two();
    let folder = harness.root().join("programs");
    let log = harness.root().join("asked");
    let real = run(std::process::Command::new("which").arg("nix-instantiate"));
    let real = text(&real.stdout).trim().to_owned();
    programs(
        &folder,
        &[(
            "nix-instantiate",
            &format!("echo >> {log}; exec {real} \"$@\""),
        )],
        &[],
    );
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
    for names in [&["client"][..], &["--all"]] {
        let output = run(harness.command(names).env("PATH", &path));
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(fs_err::read_to_string(&log).unwrap(), "\n");
        fs_err::remove_file(&log).unwrap();
    }
}

#[test]
fn flags_that_only_some_containers_take() {
    let harness = two();
    let pins = r#"{ "version": "1.0-sample" }"#;
    harness.write("containers/authentik/sample/pins.json", pins);
    let ended = harness.test_build(&["--sample", "--all"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.says(&["sources: authentik's sample 1.0-sample\n"]);
    let links = harness.root().join("target/test-build");
    assert!(links.join("authentik/sample/client").is_symlink());
    assert!(!links.join("proxy").exists());
    // Only one `image` is left.
    let ended = harness.test_build(&["--sample", "image", "--json"]);
    assert_eq!(
        (ended.code, ended.row("image")["container"].as_str()),
        (Some(0), Some("authentik"))
    );
    for name in ["proxy", "proxy/image", "proxy/"] {
        let ended = harness.test_build(&["--sample", name]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        ended.says(&["proxy has no sample, which would be containers/proxy/sample"]);
    }
    for file in ["schema.yml", "scripts/api/ts-templates/x", "elsewhere/x"] {
        harness.write(&format!("tree/{file}"), "");
    }
    harness.write("tree/package.json", r#"{ "version": "2.0" }"#);
    let ended = harness.test_build(&["--source", "tree", "image"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.says(&["/tree 2.0, the rest from containers/authentik/pins.json 1.0\n"]);
    let ended = harness.test_build(&["--source", "tree", "proxy"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    ended.says(&["`proxy` is in `proxy`: proxy is not built from a source tree"]);
    let ended = harness.test_build(&["--source", "tree/elsewhere", "image"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    ended.says(&[
        "not a source tree of authentik: missing `schema.yml`",
        "proxy is not built",
    ]);
}

#[test]
fn pins_are_those_of_one_container() {
    let harness = two();
    harness.write("own.json", r#"{ "version": "1.5" }"#);
    let ended = harness.test_build(&["--pins", "own.json", "client"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.says(&["sources: own.json 1.5\n"]);
    for names in [&["client", "proxy"][..], &["--all"], &["--list"]] {
        let ended = harness.test_build(&[&["--pins", "own.json"], names].concat());
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        ended.says(&["`--pins` gives the pins of one container"]);
    }
    // An error in the pins of a container that is not meant does no harm.
    harness.write("containers/proxy/pins.json", "{");
    let ended = harness.test_build(&["authentik/client"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let ended = harness.test_build(&["proxy/proxy"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    ended.says(&["containers/proxy/pins.json:1:"]);
}

#[test]
fn accepted_hashes_go_into_the_pins_of_their_container() {
    let component = |name: &str| {
        format!(
            r#"
  {name} = fixed "{name}" (hashOf "{name}") "echo {name} > $out";
  pinned = [ ({name} // {{ pin = {{ file = pinsFile; key = [ "sources" "{name}" "hash" ]; }}; }}) ];
"#
        )
    };
    let pins = |name: &str| {
        format!(
            r#"{{ "version": "1.0", "sources": {{ "{name}": {{ "hash": "{WRONG}", "places": [ {{ "npm": "x", "version": "1" }} ] }} }} }}"#
        )
    };
    let harness = Harness::new(&component("one"));
    harness.container("proxy", &component("two"));
    let read = |name: &str| {
        fs_err::read_to_string(harness.root().join(format!("containers/{name}/pins.json"))).unwrap()
    };
    harness.write("containers/authentik/pins.json", &pins("one"));
    harness.write("containers/proxy/pins.json", &pins("two"));
    let ended = harness.test_build(&["two"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    ended.says(&["`sources.two.hash` in containers/proxy/pins.json\n"]);
    let ended = harness.test_build(&["two", "--write-pins"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(read("authentik"), pins("one"));
    assert!(!read("proxy").contains(WRONG), "{}", read("proxy"));
    // And of both in one run.
    harness.write("containers/proxy/pins.json", &pins("two"));
    let ended = harness.test_build(&["--all", "--write-pins"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for name in ["authentik", "proxy"] {
        assert!(!read(name).contains(WRONG), "{}", read(name));
    }
}

#[test]
fn a_repository_without_containers() {
    let harness = two();
    for name in ["authentik", "proxy"] {
        fs_err::remove_dir_all(harness.root().join("containers").join(name)).unwrap();
    }
    let ended = harness.test_build(&["client"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    ended.says(&["no folder below `containers` has a test-build.nix"]);
}
