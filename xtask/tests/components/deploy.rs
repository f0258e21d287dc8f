//! The compose file and the manifests of `containers/authentik/deploy`: what reads them elsewhere takes them
//! (compose-go, which `docker compose` is made of, and the schemas of Kubernetes), they give no rights away, and
//! they agree with the image and with each other. Nothing is started.

use std::collections::BTreeSet;
use std::process::{Command, Output};
use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use test_support::common::{go, is_there, not_tested, root, run, stdout, text};

/// The schemas of Kubernetes with a checker, and what that needs.
const FROM_PYPI: &[&str] = &[
    "kubernetes-validate==1.37.0",
    "attrs==26.1.0",
    "importlib-resources==7.1.0",
    "jsonschema==4.26.0",
    "jsonschema-specifications==2025.9.1",
    "packaging==26.4",
    "pyyaml==6.0.4",
    "referencing==0.37.0",
    "rpds-py==2026.9.1",
    "typing-extensions==4.16.0",
];

/// The oldest of Kubernetes that the manifests are for, and the newest that the checker knows.
const KUBERNETES: [&str; 2] = ["1.31.0", "1.37.0"];

const GO_MOD: &str =
    "module example.org/load\n\ngo 1.24\n\nrequire github.com/compose-spec/compose-go/v2 v2.16.2\n";

const GO_SUM: &str = "\
github.com/compose-spec/compose-go/v2 v2.16.2 h1:pTp1DqQwJzFd85GzlWsSszKA1ABrV/ySqsClujIcWA8=
github.com/compose-spec/compose-go/v2 v2.16.2/go.mod h1:Q1+qtN4vhzEjGrnqRtzx1xa8raDZQlMUe3WJxndYNiQ=
";

/// Reads a compose file as `docker compose config` does it: by the schema, then by what the file itself says.
const LOAD: &str = r#"package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func main() {
	options, err := cli.NewProjectOptions(os.Args[1:])
	var project *types.Project
	if err == nil {
		project, err = options.LoadProject(context.Background())
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(project)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
"#;

/// Prints the documents of files as one list.
const DOCUMENTS: &str = "import json, sys, yaml\n\
    print(json.dumps([d for f in sys.argv[1:] for d in yaml.safe_load_all(open(f))]))";

/// A folder with packages of `PyPI`; nothing where they can't be fetched, which fails in CI.
fn packages() -> Option<&'static Utf8Path> {
    static FOLDER: OnceLock<Option<Utf8PathBuf>> = OnceLock::new();
    let fetch = || {
        let folder = root().join("target/e2e-pypi").join(FROM_PYPI[0]);
        if folder.join("bin").is_dir() {
            return Some(folder);
        }
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--upgrade", "--no-deps"])
            .args(["--target", folder.as_str()])
            .args(FROM_PYPI);
        fetched("the manifests of Kubernetes", &run(&mut pip)).then_some(folder)
    };
    FOLDER.get_or_init(fetch).as_deref()
}

/// The program that reads compose files; nothing where its modules can't be fetched, which fails in CI.
fn loader() -> Option<&'static Utf8Path> {
    static PROGRAM: OnceLock<Option<Utf8PathBuf>> = OnceLock::new();
    let build = || {
        let folder = root().join("target/e2e-deploy/load");
        fs_err::create_dir_all(&folder).unwrap();
        for (name, text) in [("go.mod", GO_MOD), ("go.sum", GO_SUM), ("main.go", LOAD)] {
            fs_err::write(folder.join(name), text).unwrap();
        }
        let mut build = Command::new(go());
        build
            .current_dir(&folder)
            .env("GOFLAGS", "-mod=mod")
            .env("GOWORK", "off")
            .args(["build", "-o", "load", "."]);
        fetched("the compose file", &run(&mut build)).then(|| folder.join("load"))
    };
    PROGRAM.get_or_init(build).as_deref()
}

/// Whether what checks was fetched.
fn fetched(what: &str, output: &Output) -> bool {
    let said = text(&output.stderr);
    output.status.success() || not_tested(&format!("{what}: what checks that is missing:\n{said}"))
}

fn deploy() -> Utf8PathBuf {
    root().join("containers/authentik/deploy")
}

fn read(file: &str) -> String {
    fs_err::read_to_string(deploy().join(file)).unwrap()
}

fn version() -> String {
    let pins = fs_err::read(root().join("containers/authentik/pins.json")).unwrap();
    let pins: Value = serde_json::from_slice(&pins).unwrap();
    pins["version"].as_str().unwrap().to_owned()
}

/// The manifests by name, without what is none: the list for kustomize, and the secret that is to be filled in.
fn manifests() -> Vec<String> {
    let files = fs_err::read_dir(deploy().join("kubernetes")).unwrap();
    let mut names: Vec<String> = files
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .filter(|name| Utf8Path::new(name).extension() == Some("yaml"))
        .filter(|name| name != "kustomization.yaml")
        .collect();
    names.sort();
    names
}

/// A folder with a file of the deployment in it that is changed at one place.
fn twin(file: &str, from: &str, to: &str) -> (tempfile::TempDir, Utf8PathBuf) {
    let good = read(file);
    assert!(good.contains(from), "{file} has no `{from}`");
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(folder.path()).unwrap().to_owned();
    let name = Utf8Path::new(file).file_name().unwrap();
    fs_err::write(path.join(name), good.replacen(from, to, 1)).unwrap();
    for name in ["authentik.env", "postgresql.env"] {
        fs_err::write(path.join(name), read(&format!("{name}.example"))).unwrap();
    }
    (folder, path.join(name))
}

/// What the loader makes of compose.yaml, changed at one place.
fn load(from: &str, to: &str) -> Option<Output> {
    let (_folder, file) = twin("compose.yaml", from, to);
    Some(run(Command::new(loader()?).arg(file)))
}

fn compose() -> Option<Value> {
    let output = load("", "")?;
    assert!(output.status.success(), "{}", text(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// What kubernetes-validate says of files, and whether it takes them.
fn validate(packages: &Utf8Path, version: &str, files: &[Utf8PathBuf]) -> (bool, String) {
    let mut command = Command::new("python3");
    command
        .env("PYTHONPATH", packages)
        .args(["-m", "kubernetes_validate", "--strict", "-k", version])
        .args(files);
    let output = run(&mut command);
    let said = text(&output.stdout) + &text(&output.stderr);
    (output.status.success(), said)
}

fn documents(packages: &Utf8Path, files: &[Utf8PathBuf]) -> Vec<Value> {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", packages).args(["-c", DOCUMENTS]);
    serde_json::from_str(&stdout(command.args(files))).unwrap()
}

fn all_documents(packages: &Utf8Path) -> Vec<Value> {
    let files: Vec<Utf8PathBuf> = manifests()
        .iter()
        .map(|name| deploy().join("kubernetes").join(name))
        .collect();
    documents(packages, &files)
}

#[test]
fn compose_takes_the_compose_file() {
    if compose().is_none() {
        return;
    }
    for (from, to, expected) in [
        ("  read_only: true", "  reed_only: true", "reed_only"),
        ("    mem_limit:", "    memory_limit:", "memory_limit"),
        (
            "  database: {}",
            "  databass: {}",
            "undefined volume database",
        ),
        (
            "condition: service_healthy",
            "condition: healthy",
            "condition",
        ),
        ("[postgresql.env]", "[lost.env]", "lost.env"),
        ("user: \"65534:0\"", "user: [65534, 0]", "user"),
    ] {
        let output = load(from, to).unwrap();
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{to} is taken");
        assert!(said.contains(expected), "{to}: {said}");
    }
}

#[test]
fn kubernetes_takes_the_manifests() {
    let Some(packages) = packages() else {
        return;
    };
    let names = manifests();
    let folder = deploy().join("kubernetes");
    let mut files: Vec<Utf8PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    files.push(folder.join("secret.yaml.example"));
    for version in KUBERNETES {
        let (good, said) = validate(packages, version, &files);
        assert!(good, "{said}");
        assert_eq!(said.matches(" passed for resource ").count(), 12, "{said}");
    }
    // A wrong key of each file is named, at the top and below.
    let wrong = [
        ("namespace.yaml", "labels:", "label:", "label"),
        ("settings.yaml", "\ndata:", "\ndate:", "date"),
        ("volumes.yaml", "accessModes:", "accessMode:", "accessMode"),
        ("postgresql.yaml", "clusterIP:", "clusterIp:", "clusterIp"),
        ("postgresql.yaml", "fsGroup:", "fsgroup:", "fsgroup"),
        ("server.yaml", "targetPort:", "targetport:", "targetport"),
        (
            "server.yaml",
            "readOnlyRootFilesystem:",
            "readOnlyRootFileSystem:",
            "readOnlyRootFileSystem",
        ),
        (
            "worker.yaml",
            "livenessProbe:",
            "livelinessProbe:",
            "livelinessProbe",
        ),
        ("worker.yaml", "sizeLimit:", "size:", "size"),
        (
            "network-policy.yaml",
            "policyTypes:",
            "policyType:",
            "policyType",
        ),
        (
            "secret.yaml.example",
            "stringData:",
            "stringdata:",
            "stringdata",
        ),
    ];
    let tried: BTreeSet<&str> = wrong.iter().map(|it| it.0).collect();
    let there: BTreeSet<&str> = files.iter().map(|it| it.file_name().unwrap()).collect();
    assert_eq!(tried, there);
    for (name, from, to, key) in wrong {
        let (_folder, file) = twin(&format!("kubernetes/{name}"), from, to);
        for version in KUBERNETES {
            let (good, said) = validate(packages, version, std::slice::from_ref(&file));
            assert!(!good, "{name} with {to} is taken");
            assert!(said.contains(&format!("'{key}'")), "{name}: {to}: {said}");
        }
    }
}

/// What gives rights away, or is not as the others are, in a service of compose.
fn of_service(service: &Value, user: &str) -> Vec<&'static str> {
    let memory = &service["mem_limit"];
    let checks = [
        ("user", service["user"] == user),
        ("read_only", service["read_only"] == true),
        ("cap_drop", service["cap_drop"] == json!(["ALL"])),
        ("cap_add", service["cap_add"].is_null()),
        ("privileged", service["privileged"].is_null()),
        (
            "security_opt",
            service["security_opt"] == json!(["no-new-privileges:true"]),
        ),
        (
            "mem_limit",
            memory.is_string() && *memory == service["mem_reservation"],
        ),
        ("shm_size", service["shm_size"].is_string()),
        ("healthcheck", service["healthcheck"]["test"].is_array()),
    ];
    failed(&checks)
}

/// The same of a Pod.
fn of_pod(pod: &Value, user: u32, group: u32) -> Vec<&'static str> {
    let containers = pod["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    let (all, one) = (&pod["securityContext"], &containers[0]);
    let volumes: BTreeSet<&str> = names(&pod["volumes"]).chain(["database"]).collect();
    let memory = &one["resources"]["limits"]["memory"];
    let checks = [
        ("runAsNonRoot", all["runAsNonRoot"] == true),
        ("runAsUser", all["runAsUser"] == user),
        ("runAsGroup", all["runAsGroup"] == group),
        ("fsGroup", all["fsGroup"] == group),
        (
            "seccompProfile",
            all["seccompProfile"] == json!({ "type": "RuntimeDefault" }),
        ),
        (
            "automountServiceAccountToken",
            pod["automountServiceAccountToken"] == false,
        ),
        ("enableServiceLinks", pod["enableServiceLinks"] == false),
        (
            "securityContext",
            one["securityContext"]
                == json!({
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] },
                }),
        ),
        (
            "memory",
            memory.is_string() && *memory == one["resources"]["requests"]["memory"],
        ),
        (
            "volumeMounts",
            names(&one["volumeMounts"]).all(|name| volumes.contains(name)),
        ),
        ("sizeLimit", {
            let mut empty = pod["volumes"].as_array().unwrap().iter();
            empty.all(|it| it["emptyDir"].is_null() || it["emptyDir"]["sizeLimit"].is_string())
        }),
        ("startupProbe", one["startupProbe"].is_object()),
        ("livenessProbe", one["livenessProbe"].is_object()),
    ];
    failed(&checks)
}

fn failed(checks: &[(&'static str, bool)]) -> Vec<&'static str> {
    let failed = checks.iter().filter(|(_, good)| !good);
    failed.map(|(name, _)| *name).collect()
}

fn names(list: &Value) -> impl Iterator<Item = &str> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|it| it["name"].as_str().unwrap())
}

/// A document by its kind and name.
fn find<'a>(documents: &'a [Value], kind: &str, name: &str) -> &'a Value {
    documents
        .iter()
        .find(|it| it["kind"] == kind && it["metadata"]["name"] == name)
        .unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

#[test]
fn they_give_no_rights_away() {
    let nix = fs_err::read_to_string(root().join("containers/authentik/image.nix")).unwrap();
    assert!(
        nix.contains("\n  user = \"65534\";\n"),
        "the image has another user"
    );
    let nothing: [&str; 0] = [];
    if let Some(project) = compose() {
        let services = project["services"].as_object().unwrap();
        assert_eq!(services.len(), 3);
        for (name, service) in services {
            let user = if name == "postgresql" {
                "999:999"
            } else {
                "65534:0"
            };
            assert_eq!(of_service(service, user), nothing, "{name}");
            let mut wrong = service.clone();
            wrong["read_only"] = json!(false);
            wrong["cap_add"] = json!(["NET_ADMIN"]);
            assert_eq!(of_service(&wrong, user), ["read_only", "cap_add"]);
            let published = service["ports"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            assert!(
                published.iter().all(|it| it["host_ip"] == "127.0.0.1"),
                "{published:?}"
            );
        }
        assert_eq!(project["networks"]["database"]["internal"], true);
    }
    if let Some(packages) = packages() {
        let documents = all_documents(packages);
        for (kind, name, user, group) in [
            ("Deployment", "authentik-server", 65534, 0),
            ("Deployment", "authentik-worker", 65534, 0),
            ("StatefulSet", "postgresql", 999, 999),
        ] {
            let pod = &find(&documents, kind, name)["spec"]["template"]["spec"];
            assert_eq!(of_pod(pod, user, group), nothing, "{name}");
            let mut wrong = pod.clone();
            wrong["securityContext"]["runAsNonRoot"] = json!(false);
            wrong["containers"][0]["securityContext"]["capabilities"] = json!({});
            assert_eq!(
                of_pod(&wrong, user, group),
                ["runAsNonRoot", "securityContext"]
            );
        }
        let namespace = &find(&documents, "Namespace", "authentik")["metadata"]["labels"];
        assert_eq!(
            namespace["pod-security.kubernetes.io/enforce"],
            "restricted"
        );
    }
}

#[test]
fn they_run_the_image_that_is_built() {
    let (Some(project), Some(packages)) = (compose(), packages()) else {
        return;
    };
    let image = format!("authentik:{}", version());
    let documents = all_documents(packages);
    let settings = &find(&documents, "ConfigMap", "authentik")["data"];
    let from_secret = documents_of_secret(packages);
    for part in ["server", "worker"] {
        let service = &project["services"][part];
        let pod = &find(&documents, "Deployment", &format!("authentik-{part}"))["spec"]["template"]
            ["spec"];
        let container = &pod["containers"][0];
        for (kind, one) in [("compose", service), ("Kubernetes", container)] {
            assert_eq!(one["image"], *image, "{kind}: {part}");
        }
        assert_eq!(service["command"], json!([part]));
        assert_eq!(container["args"], json!([part]));
        // the same settings here and there, and the same secrets
        let environment = service["environment"].as_object().unwrap();
        let mut keys: BTreeSet<&String> = settings.as_object().unwrap().keys().collect();
        for key in &keys {
            assert_eq!(environment[*key], settings[*key], "{key}");
        }
        keys.extend(from_secret.as_object().unwrap().keys());
        assert_eq!(environment.keys().collect::<BTreeSet<_>>(), keys);
        // the same folders
        let mut places: BTreeSet<&str> = targets(&service["volumes"], "target");
        places.extend(["/tmp", "/dev/shm"]);
        assert_eq!(
            targets(&container["volumeMounts"], "mountPath"),
            places,
            "{part}"
        );
    }
    let server = &find(&documents, "Deployment", "authentik-server")["spec"]["template"]["spec"]["containers"]
        [0];
    for (probe, path) in [
        ("startupProbe", "/-/health/live/"),
        ("readinessProbe", "/-/health/ready/"),
    ] {
        assert_eq!(
            server[probe]["httpGet"],
            json!({ "path": path, "port": "http" })
        );
    }
    // Both paths need the database, which no restart mends.
    assert_eq!(
        server["livenessProbe"]["tcpSocket"],
        json!({ "port": "http" })
    );
    let worker = &find(&documents, "Deployment", "authentik-worker")["spec"]["template"]["spec"]["containers"]
        [0];
    for probe in ["startupProbe", "livenessProbe"] {
        assert_eq!(
            worker[probe]["exec"]["command"],
            json!(["ak", "healthcheck"])
        );
    }
    // the database has the name by which it is asked for, here and there, and is the same
    let host = settings["AUTHENTIK_POSTGRESQL__HOST"].as_str().unwrap();
    let database =
        &find(&documents, "StatefulSet", host)["spec"]["template"]["spec"]["containers"][0];
    find(&documents, "Service", host);
    assert_eq!(project["services"][host]["image"], database["image"]);

    // kustomize is told of all files, and of the version
    let list = documents_of(packages, "kubernetes/kustomization.yaml").remove(0);
    let mut listed: Vec<&str> = list["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    listed.sort_unstable();
    assert_eq!(listed, manifests());
    assert_eq!(
        list["images"],
        json!([{ "name": "authentik", "newTag": version() }])
    );
}

fn targets<'a>(list: &'a Value, key: &str) -> BTreeSet<&'a str> {
    let list = list.as_array().unwrap();
    list.iter().map(|it| it[key].as_str().unwrap()).collect()
}

fn documents_of(packages: &Utf8Path, file: &str) -> Vec<Value> {
    documents(packages, &[deploy().join(file)])
}

fn documents_of_secret(packages: &Utf8Path) -> Value {
    documents_of(packages, "kubernetes/secret.yaml.example").remove(0)["stringData"].take()
}

/// Keys of a file for the environment, also of what is commented out, with their values.
fn assignments(text: &str) -> Vec<(&str, &str)> {
    let pairs = text
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='));
    pairs
        .filter(|(key, _)| key.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .collect()
}

#[test]
fn the_examples_hold_no_secret_and_their_command_makes_some() {
    let examples = [
        read("authentik.env.example"),
        read("postgresql.env.example"),
    ];
    for example in &examples {
        let found = assignments(example);
        assert!(!found.is_empty());
        assert!(found.iter().all(|(_, value)| value.is_empty()), "{found:?}");
    }
    if let Some(packages) = packages() {
        let secret = documents_of_secret(packages);
        assert!(
            secret.as_object().unwrap().values().all(|it| it == ""),
            "{secret}"
        );
    }
    if !is_there("openssl") {
        return;
    }
    // The commands as they stand in the file.
    let commands = examples[0].lines().filter_map(|it| it.strip_prefix("#   "));
    let commands: Vec<&str> = commands.collect();
    assert_eq!(commands.len(), 4);
    let card =
        fs_err::read_to_string(root().join("docs/how-to/authentik/deploy-authentik.md")).unwrap();
    assert!(
        card.contains(&commands.join("\n")),
        "the card has other commands"
    );
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let mut shell = Command::new("sh");
    stdout(
        shell
            .current_dir(folder)
            .args(["-ec", &commands.join("\n")]),
    );
    let written = |name: &str| fs_err::read_to_string(folder.join(name)).unwrap();
    let (authentik, database) = (written("authentik.env"), written("postgresql.env"));
    let (authentik, database) = (assignments(&authentik), assignments(&database));
    let keys: Vec<&str> = authentik.iter().chain(&database).map(|it| it.0).collect();
    assert_eq!(
        keys,
        [
            "AUTHENTIK_SECRET_KEY",
            "AUTHENTIK_POSTGRESQL__PASSWORD",
            "POSTGRES_PASSWORD"
        ]
    );
    let (key, password) = (authentik[0].1, authentik[1].1);
    assert_eq!((key.len(), password.len()), (96, 64));
    assert_eq!(database[0].1, password);
    assert!(!key.starts_with(password));
    let modes = Command::new("stat")
        .current_dir(folder)
        .args(["-c", "%a", "authentik.env", "postgresql.env"])
        .output();
    assert_eq!(text(&modes.unwrap().stdout), "600\n600\n");
}
