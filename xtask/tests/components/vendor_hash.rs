//! `compute-vendor-hash` with real Go, and against the hash that Nix itself reports.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process};

use test_support::common::{
    go, not_tested, path_with_go, root, run, stdout, text, wait_until, xtask,
};
use test_support::harness::accepted;

/// What a layout leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leads {
    Hash,
    Null,
    /// Both say these words.
    Nowhere(&'static str),
}

/// A module: files, where Go is to complete go.mod and go.sum, options, and what it leads to.
struct Layout {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    complete: &'static str,
    options: &'static [&'static str],
    leads: Leads,
}

const UUID: (&str, &str) = (
    "main.go",
    "package main\n\nimport _ \"github.com/google/uuid\"\n\nfunc main() {}\n",
);
const UUID_MOD: &str = "module example.com/x\n\ngo 1.25\n\nrequire github.com/google/uuid v1.6.0\n";
const EMPTY_MOD: &str = "module example.com/x\n\ngo 1.25\n";
const NO_IMPORTS: (&str, &str) = ("main.go", "package main\n\nfunc main() {}\n");

const LAYOUTS: &[Layout] = &[
    Layout {
        name: "plain",
        files: &[("go.mod", UUID_MOD), UUID],
        complete: ".",
        options: &[],
        leads: Leads::Hash,
    },
    Layout {
        name: "proxy-vendor",
        files: &[("go.mod", UUID_MOD), UUID],
        complete: ".",
        options: &["--proxy-vendor"],
        leads: Leads::Hash,
    },
    Layout {
        name: "embeds",
        files: &[
            (
                "go.mod",
                "module example.com/x\n\ngo 1.25\n\nrequire github.com/go-openapi/spec v0.21.0\n",
            ),
            (
                "main.go",
                "package main\n\nimport (\n\t_ \"embed\"\n\n\t_ \"github.com/go-openapi/spec\"\n)\n\n\
                 //go:embed a.txt\nvar a string\n\nfunc main() {}\n",
            ),
            ("a.txt", "embedded\n"),
        ],
        complete: ".",
        options: &[],
        leads: Leads::Hash,
    },
    Layout {
        name: "cgo",
        files: &[
            (
                "go.mod",
                "module example.com/x\n\ngo 1.25\n\nrequire github.com/mattn/go-pointer v0.0.1\n",
            ),
            (
                "main.go",
                "package main\n\nimport _ \"github.com/mattn/go-pointer\"\n\nfunc main() {}\n",
            ),
        ],
        complete: ".",
        options: &[],
        leads: Leads::Hash,
    },
    Layout {
        name: "local-replacement",
        files: &[
            (
                "go.mod",
                "module example.com/x\n\ngo 1.25\n\nrequire example.com/y v0.0.0\n\n\
                 replace example.com/y => ./y // here\n",
            ),
            (
                "main.go",
                "package main\n\nimport _ \"example.com/y/in\"\n\nfunc main() {}\n",
            ),
            ("y/go.mod", "module example.com/y\n\ngo 1.25\n"),
            ("y/LICENSE", "the parent's licence\n"),
            (
                "y/in/in.go",
                "package in\n\nimport _ \"embed\"\n\n//go:embed data/*\nvar a string\n",
            ),
            ("y/in/data/a.bin", "embedded in what replaces\n"),
            ("y/in/asm.s", "// nothing\n"),
            ("y/in/in_test.go", "package in\n"),
            ("y/other/other.go", "package other\n"),
        ],
        complete: ".",
        options: &[],
        leads: Leads::Hash,
    },
    Layout {
        name: "nested-mod-root",
        files: &[
            ("go.mod", "module example.com/outer\n\ngo 1.25\n"),
            ("outer.go", "package outer\n\nconst A = 1\n"),
            (
                "in/side/go.mod",
                "module example.com/x\n\ngo 1.25\n\nrequire (\n\texample.com/outer v0.0.0\n\t\
                 github.com/google/uuid v1.6.0\n)\n\nreplace example.com/outer => ../..\n",
            ),
            (
                "in/side/main.go",
                "package main\n\nimport (\n\t_ \"example.com/outer\"\n\t_ \"github.com/google/uuid\"\n)\n\nfunc main() {}\n",
            ),
        ],
        complete: "in/side",
        options: &["--mod-root", "in/side"],
        leads: Leads::Hash,
    },
    Layout {
        name: "vendored",
        files: &[
            ("go.mod", UUID_MOD),
            UUID,
            ("vendor/modules.txt", "# github.com/google/uuid v1.6.0\n"),
        ],
        complete: "",
        options: &[],
        leads: Leads::Null,
    },
    Layout {
        name: "delete-vendor",
        files: &[
            ("go.mod", UUID_MOD),
            UUID,
            ("vendor/modules.txt", "# of long ago v1.0.0\n"),
        ],
        complete: ".",
        options: &["--delete-vendor"],
        leads: Leads::Hash,
    },
    Layout {
        name: "delete-vendor-without",
        files: &[("go.mod", UUID_MOD), UUID],
        complete: ".",
        options: &["--delete-vendor"],
        leads: Leads::Nowhere("vendor"),
    },
    Layout {
        name: "no-dependencies",
        files: &[("go.mod", EMPTY_MOD), NO_IMPORTS],
        complete: "",
        options: &[],
        leads: Leads::Null,
    },
    Layout {
        name: "no-dependencies-proxy-vendor",
        files: &[("go.mod", EMPTY_MOD), NO_IMPORTS],
        complete: "",
        options: &["--proxy-vendor"],
        leads: Leads::Null,
    },
    Layout {
        name: "workspace",
        files: &[
            ("go.mod", UUID_MOD),
            UUID,
            ("go.work", "go 1.25\n\nuse .\n"),
        ],
        complete: "",
        options: &[],
        leads: Leads::Nowhere("go work vendor"),
    },
    Layout {
        name: "workspace-proxy-vendor",
        files: &[
            ("in/go.mod", UUID_MOD),
            ("in/go.sum", UUID_SUM),
            ("in/main.go", UUID.1),
            ("other/go.mod", "module example.com/other\n\ngo 1.25\n"),
            ("go.work", "go 1.25\n\nuse (\n\t./in\n\t./other\n)\n"),
        ],
        complete: "",
        options: &["--proxy-vendor", "--mod-root", "in"],
        leads: Leads::Hash,
    },
    Layout {
        name: "case-colliding-files",
        files: &[
            (
                "go.mod",
                "module example.com/x\n\ngo 1.25\n\nrequire example.com/Y v0.0.0\n\nreplace example.com/Y => ./Y\n",
            ),
            ("a/a.go", "package a\n\nimport _ \"example.com/Y/in\"\n"),
            ("Y/go.mod", "module example.com/Y\n\ngo 1.25\n"),
            ("Y/in/File.go", "package in\n"),
            ("Y/in/file.go", "package in\n"),
            ("Y/in/LICENSE", "one\n"),
            ("Y/in/license", "another\n"),
        ],
        complete: ".",
        options: &[],
        leads: Leads::Hash,
    },
    Layout {
        name: "case-colliding-packages",
        files: &[
            (
                "go.mod",
                "module example.com/x\n\ngo 1.25\n\nrequire example.com/y v0.0.0\n\nreplace example.com/y => ./y\n",
            ),
            (
                "a/a.go",
                "package a\n\nimport (\n\t_ \"example.com/y/in\"\n\t_ \"example.com/y/In\"\n)\n",
            ),
            ("y/go.mod", "module example.com/y\n\ngo 1.25\n"),
            ("y/in/in.go", "package in\n"),
            ("y/In/in.go", "package in\n"),
        ],
        complete: "",
        options: &[],
        leads: Leads::Hash,
    },
    Layout {
        name: "case-colliding-proxy-vendor",
        files: &[
            (
                "go.mod",
                "module example.com/x\n\ngo 1.25\n\nrequire github.com/BurntSushi/toml v1.4.0\n",
            ),
            (
                "main.go",
                "package main\n\nimport _ \"github.com/BurntSushi/toml\"\n\nfunc main() {}\n",
            ),
        ],
        complete: ".",
        options: &["--proxy-vendor"],
        leads: Leads::Hash,
    },
    Layout {
        name: "retracted",
        files: &[
            (
                "go.mod",
                "module example.com/x\n\ngo 1.25\n\nrequire github.com/prometheus/common v0.50.0\n\n\
                 retract v1.0.0 // of the module itself\n",
            ),
            (
                "main.go",
                "package main\n\nimport _ \"github.com/prometheus/common/version\"\n\nfunc main() {}\n",
            ),
        ],
        complete: ".",
        options: &[],
        leads: Leads::Hash,
    },
    Layout {
        name: "case-colliding-modules",
        files: &[
            (
                "go.mod",
                "module example.com/x\n\ngo 1.25\n\nrequire (\n\texample.com/Y v0.0.0\n\texample.com/y v0.0.0\n)\n\n\
                 replace (\n\texample.com/Y => ./Y\n\texample.com/y => ./y\n)\n",
            ),
            (
                "a/a.go",
                "package a\n\nimport (\n\t_ \"example.com/Y\"\n\t_ \"example.com/y\"\n)\n",
            ),
            ("Y/go.mod", "module example.com/Y\n\ngo 1.25\n"),
            ("Y/file.go", "package y\n"),
            ("y/go.mod", "module example.com/y\n\ngo 1.25\n"),
            ("y/file.go", "package y\n"),
        ],
        complete: "",
        options: &[],
        leads: Leads::Nowhere("case-insensitive import collision"),
    },
    Layout {
        name: "node-modules",
        files: &[
            ("go.mod", UUID_MOD),
            ("go.sum", UUID_SUM),
            UUID,
            // Neither is in what Nix sees, and Go would look into both.
            (
                "node_modules/a/a.go",
                "package a\n\nimport _ \"example.com/nowhere\"\n",
            ),
            (
                "in/node_modules/a/a.go",
                "package a\n\nimport _ \"example.com/nowhere\"\n",
            ),
        ],
        complete: "",
        options: &[],
        leads: Leads::Hash,
    },
    Layout {
        name: "license-only-parent",
        files: &[
            (
                "go.mod",
                "module example.com/x\n\ngo 1.25\n\nrequire golang.org/x/sync v0.12.0\n",
            ),
            (
                "main.go",
                "package main\n\nimport _ \"golang.org/x/sync/errgroup\"\n\nfunc main() {}\n",
            ),
        ],
        complete: ".",
        options: &[],
        leads: Leads::Hash,
    },
    Layout {
        name: "replacement-out-of-the-source",
        files: &[
            (
                "go.mod",
                "module example.com/x\n\ngo 1.25\n\nrequire example.com/y v0.0.0\n\n\
                 replace example.com/y => ../outside\n",
            ),
            (
                "main.go",
                "package main\n\nimport _ \"example.com/y\"\n\nfunc main() {}\n",
            ),
            ("../outside/go.mod", "module example.com/y\n\ngo 1.25\n"),
            ("../outside/y.go", "package y\n"),
        ],
        complete: "",
        options: &[],
        leads: Leads::Nowhere("outside"),
    },
];

/// A folder of this machine is in no sandbox, and what it holds is nobody's to hash.
#[test]
fn a_replacement_by_an_absolute_path_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let other = folder.join("other");
    let go_mod = format!(
        "module example.com/x\n\ngo 1.25\n\nrequire example.com/y v0.0.0\n\nreplace example.com/y => {other}\n"
    );
    write(&other.join("go.mod"), "module example.com/y\n\ngo 1.25\n");
    write(&other.join("y.go"), "package y\n");
    let main = "package main\n\nimport _ \"example.com/y\"\n\nfunc main() {}\n";
    let tree = module(folder, &[("go.mod", &go_mod), ("main.go", main)], "");
    let output = run(&mut compute(&tree, &[]));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("by `{other}`")), "{said}");
}

fn write(path: &Utf8Path, contents: &str) {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = fs_err::File::create(path).unwrap();
    file.write_all(contents.as_bytes()).unwrap();
}

fn module(folder: &Utf8Path, files: &[(&str, &str)], complete: &str) -> Utf8PathBuf {
    let tree = folder.join("tree");
    for (name, contents) in files {
        write(&tree.join(name), contents);
    }
    if !complete.is_empty() {
        // What is lacking in go.mod and go.sum it adds.
        stdout(
            Command::new(go())
                .args(["mod", "tidy"])
                .current_dir(tree.join(complete)),
        );
    }
    tree
}

fn compute(tree: &Utf8Path, options: &[&str]) -> Command {
    let mut command = xtask();
    command
        .args(["compute-vendor-hash", "--source", tree.as_str()])
        .args(options)
        .env("PATH", path_with_go());
    command
}

/// All that a tree holds: paths, sizes and times of change, to see that nothing was written.
fn listing(tree: &Utf8Path) -> String {
    stdout(
        Command::new("find")
            .arg(tree)
            .args(["-printf", "%p %s %T@ %C@\n"]),
    )
}

#[test]
fn the_same_as_nix_says() {
    for layout in LAYOUTS {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let tree = module(folder, layout.files, layout.complete);
        let before = listing(&tree);
        let native = run(compute(&tree, layout.options).args(["--go", go()]));
        let through_nix = run(compute(&tree, layout.options).args(["--nix", "--pkgs", "host"]));
        let both = format!(
            "{}: native {}\n{}\nNix {}\n{}",
            layout.name,
            native.status,
            text(&native.stderr),
            through_nix.status,
            text(&through_nix.stderr)
        );
        assert_eq!(text(&native.stdout), text(&through_nix.stdout), "{both}");
        let printed = text(&native.stdout);
        let led = match (printed.trim(), layout.leads) {
            ("", Leads::Nowhere(words)) => {
                let said = [text(&native.stderr), text(&through_nix.stderr)];
                said.iter().all(|said| said.contains(words))
            }
            ("null", leads) => leads == Leads::Null,
            (hash, leads) => leads == Leads::Hash && hash.starts_with("sha256-"),
        };
        assert!(led, "{both}");
        let good = !matches!(layout.leads, Leads::Nowhere(_));
        let (code, code_of_nix) = if good { (0, 0) } else { (2, 1) };
        assert_eq!(native.status.code(), Some(code), "{both}");
        assert_eq!(through_nix.status.code(), Some(code_of_nix), "{both}");
        assert_eq!(listing(&tree), before, "{}", layout.name);
    }
}

/// A module whose dependency comes from a proxy of the test's own.
fn served(folder: &Utf8Path, go_sum: &str) -> Utf8PathBuf {
    let files = [("go.mod", UUID_MOD), UUID, ("go.sum", go_sum)];
    module(folder, &files, "")
}

/// A server that answers everything in the same way until the program ends; its address.
fn server(answer: &'static str) -> String {
    counting_server(answer).0
}

/// The same, and how many asked.
fn counting_server(answer: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            asked.fetch_add(1, Ordering::Relaxed);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (format!("http://{address}"), count)
}

const UUID_SUM: &str =
    "github.com/google/uuid v1.6.0 h1:NIvaJDMOsjHA8n1jAhLSgzrAzy1Hgr+hNrb57e+94F0=
github.com/google/uuid v1.6.0/go.mod h1:TIyPZe4MgqvfeYDBFedMoGGpEw/LqOeaOT+nhxU+yHo=
";

/// Runs with a TMPDIR of its own; it has to fail, say these parts, print nothing and leave nothing.
fn fails(folder: &Utf8Path, command: &mut Command, parts: &[&str]) {
    let temporary = folder.join("tmp");
    fs_err::create_dir_all(&temporary).unwrap();
    // A program that waits for an answer would wait for ever.
    let output = run(Command::new("timeout")
        .arg("120")
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(root())
        .env("TMPDIR", &temporary)
        .env("GOSUMDB", "off")
        .envs(
            command
                .get_envs()
                .filter_map(|(key, value)| Some((key, value?))),
        ));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(text(&output.stdout), "");
    for part in parts {
        assert!(said.contains(part), "lacks `{part}`:\n{said}");
    }
    assert_eq!(fs_err::read_dir(&temporary).unwrap().count(), 0, "{said}");
}

#[test]
fn bad_input() {
    let nonsense = server(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 21\r\nConnection: close\r\n\r\n\
         <html>log in!</html>\n",
    );
    let refusing =
        server("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let wrong_sum = UUID_SUM.replace("NIva", "AAAA");
    let cases: &[(&str, &str, &str, &[&str])] = &[
        (
            &wrong_sum,
            UUID_MOD,
            "",
            &[
                "not what its checksum says",
                "checksum mismatch",
                "may have tampered",
                "github.com/google/uuid",
            ],
        ),
        (
            "nonsense\n",
            UUID_MOD,
            "",
            &["go.sum is corrupt", "malformed go.sum"],
        ),
        (
            UUID_SUM,
            UUID_MOD,
            "http://127.0.0.1:9",
            &[
                "the network can't be reached",
                "connection refused",
                "--shared-cache",
            ],
        ),
        (
            UUID_SUM,
            UUID_MOD,
            &nonsense,
            &["is not a module", "GOPROXY"],
        ),
        (
            UUID_SUM,
            UUID_MOD,
            &refusing,
            &["can't be had", "403 Forbidden", "GOPRIVATE"],
        ),
        (UUID_SUM, UUID_MOD, "off", &["GOPROXY=off"]),
        (
            "",
            "module example.com/x\n\ngo 1.999.1\n\ntoolchain go1.999.2\n",
            "",
            &["go.mod needs Go 1.999.1 or later", "--go PATH"],
        ),
        (
            "",
            UUID_MOD,
            "",
            &["go.sum does not list what", "go mod tidy"],
        ),
        (
            "",
            "modul example.com/x\n",
            "",
            &["unknown directive: modul"],
        ),
        (
            "ssh.invalid/a v1.0.0/go.mod h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
            "module example.com/x\n\ngo 1.25\n\nrequire ssh.invalid/a v1.0.0\n",
            "direct",
            &["ssh.invalid/a", "no repository answers", "GOPRIVATE"],
        ),
    ];
    for (go_sum, go_mod, proxy, parts) in cases {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let files = [("go.mod", *go_mod), UUID, ("go.sum", go_sum)];
        let tree = module(folder, &files, "");
        let mut command = compute(&tree, &[]);
        if !proxy.is_empty() {
            command.env("GOPROXY", proxy);
        }
        fails(folder, &mut command, parts);
    }
}

#[test]
fn what_is_no_module() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let tree = module(
        folder,
        &[("in/side/go.mod", EMPTY_MOD), ("node_modules/x/go.mod", "")],
        "",
    );
    for (options, parts) in [
        (vec![], ["has no go.mod", "`--mod-root`: `in/side`"]),
        (vec!["--mod-root", "none"], ["there is no folder", "none"]),
        (vec!["--mod-root", ".."], ["leads out of the source", ".."]),
        (
            vec!["--mod-root", "in/side", "--go", "/none/go"],
            ["there is no Go at `/none/go`", "--nix"],
        ),
    ] {
        fails(folder, &mut compute(&tree, &options), &parts);
    }
    fails(
        folder,
        &mut compute(&folder.join("none"), &[]),
        &["cannot use", "none"],
    );
}

/// A repository that asks for a login: nobody is there to answer.
#[test]
fn a_login_is_not_waited_for() {
    let (asking, asked) = counting_server(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n",
    );
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let go_mod = "module example.com/x\n\ngo 1.25\n\nrequire login.invalid/a.git v1.0.0\n";
    let h1 = "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let sum = format!("login.invalid/a.git v1.0.0 {h1}\nlogin.invalid/a.git v1.0.0/go.mod {h1}\n");
    let main = "package main\n\nimport _ \"login.invalid/a.git\"\n\nfunc main() {}\n";
    let tree = module(
        folder,
        &[("go.mod", go_mod), ("main.go", main), ("go.sum", &sum)],
        "",
    );
    let config = folder.join("gitconfig");
    write(
        &config,
        &format!("[url \"{asking}/\"]\n\tinsteadOf = https://login.invalid/\n"),
    );
    let mut command = compute(&tree, &[]);
    command
        .env("GOPRIVATE", "login.invalid")
        .env("GIT_CONFIG_GLOBAL", &config);
    let parts = ["no repository answers", "GOPRIVATE", "a login"];
    fails(folder, &mut command, &parts);
    assert!(asked.load(Ordering::Relaxed) > 0);
}

/// The user's own settings, and files above the source, change nothing.
#[test]
fn nothing_but_the_source_counts() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let tree = served(folder, UUID_SUM);
    let expected = stdout(&mut compute(&tree, &[]));
    write(&folder.join("go.work"), "go 1.25\n\nuse ./none\n");
    write(&folder.join("go.mod"), "module example.com/above\n");
    write(
        &folder.join("env"),
        "GOFLAGS=-mod=readonly -modfile=/none\n",
    );
    let mut command = compute(&tree, &[]);
    command
        .env("GOENV", folder.join("env"))
        .env("GOWORK", folder.join("go.work"))
        .env("GO111MODULE", "off")
        .env("GOPATH", "/none")
        .env("GOTOOLCHAIN", "go1.999.0");
    assert_eq!(stdout(&mut command), expected);
    // The source may be closed to writing.
    let link = folder.join("link");
    symlink(&tree, &link).unwrap();
    stdout(Command::new("chmod").args(["-R", "a-w"]).arg(&tree));
    assert_eq!(stdout(&mut compute(&link, &[])), expected);
    stdout(Command::new("chmod").args(["-R", "u+w"]).arg(&tree));
    // Go's own cache gives the same, of either kind. That of the user may have what another proxy said.
    let cache = folder.join("cache");
    let shared = |options: &[&str]| {
        let mut command = compute(&tree, &[options, &["--shared-cache"]].concat());
        stdout(command.env("GOMODCACHE", &cache))
    };
    assert_eq!(shared(&[]), expected);
    let proxy_vendor = stdout(&mut compute(&tree, &["--proxy-vendor"]));
    assert_eq!(shared(&["--proxy-vendor"]), proxy_vendor);
    assert_ne!(proxy_vendor, expected);
    assert!(cache.join("cache/download").exists());
    stdout(Command::new("chmod").args(["-R", "u+w"]).arg(&cache));
}

#[test]
fn what_is_said_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let tree = served(folder, UUID_SUM);
    let output = run(compute(&tree, &["--json", "--go", go()]).env("GOFLAGS", "-x"));
    let said = text(&output.stderr);
    assert!(
        said.starts_with("computed from Go 1.25.5, go.mod "),
        "{said}"
    );
    assert!(said.contains(": 1 modules, "), "{said}");
    let line: serde_json::Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["bytes", "go", "go_mod", "go_sum", "hash", "modules"]);
    assert_eq!(
        (line["go"].as_str(), line["modules"].as_u64()),
        (Some("1.25.5"), Some(1))
    );
    let hash = stdout(&mut compute(&tree, &[]));
    assert_eq!(line["hash"], hash.trim());
}

#[test]
fn pins() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let tree = served(folder, UUID_SUM);
    let hash = stdout(&mut compute(&tree, &[])).trim().to_owned();
    let old = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let pins = folder.join("pins.json");
    let content = |hash: &str| {
        format!(
            "{{ \"version\": \"1.0\", \"sources\": {{ }},\n  \"go\": {{ \"vendorHash\": \"{hash}\" }} }}\n"
        )
    };
    write(&pins, &content(old));
    let with_pins =
        |option: &str| run(compute(&tree, &[option, "--pins", pins.as_str()]).env("GOFLAGS", ""));
    let stale = with_pins("--check");
    let said = text(&stale.stderr);
    assert_eq!(stale.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!("  old: {old}\n  new: {hash}\n")),
        "{said}"
    );
    assert_eq!(fs_err::read_to_string(&pins).unwrap(), content(old));
    let written = with_pins("--write-pins");
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    assert_eq!(text(&written.stdout).trim(), hash);
    assert_eq!(fs_err::read_to_string(&pins).unwrap(), content(&hash));
    assert_eq!(with_pins("--check").status.code(), Some(0));
    // A working tree never changes the release's pins.
    fails(
        folder,
        &mut compute(&tree, &["--write-pins"]),
        &["needs `--pins FILE`"],
    );
    // What fails leaves them as they are.
    write(&pins, &content(old));
    write(&tree.join("go.sum"), "nonsense\n");
    assert_eq!(with_pins("--write-pins").status.code(), Some(2));
    assert_eq!(fs_err::read_to_string(&pins).unwrap(), content(old));
}

/// A proxy that accepts and never answers, then a signal.
#[test]
fn interrupted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let tree = served(folder, UUID_SUM);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let temporary = folder.join("tmp");
        fs_err::create_dir_all(&temporary).unwrap();
        let child = compute(&tree, &[])
            .env("GOPROXY", format!("http://{address}"))
            .env("TMPDIR", &temporary)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Go asks: it is in the middle.
        let stream = accepted(&listener);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        drop(stream);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "");
        wait_until("nothing is left", || {
            fs_err::read_dir(&temporary).unwrap().count() == 0
        });
    }
}

#[test]
fn a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let tree = served(folder, UUID_SUM);
    let small = folder.join("small");
    fs_err::create_dir(&small).unwrap();
    // In a mount namespace of its own, in which this user is root.
    let script = "mount -t tmpfs -o size=300k none \"$1\" && TMPDIR=$1 \"$2\" compute-vendor-hash --source \"$3\"; \
                  code=$?; ls -A \"$1\"; exit $code";
    let output = run(Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script, "sh"])
        .args([small.as_str(), env!("CARGO_BIN_EXE_xtask"), tree.as_str()])
        .env("PATH", path_with_go())
        .current_dir(root()));
    let said = text(&output.stderr);
    if said.contains("unshare: ") {
        not_tested(&format!(
            "a full disk, for want of a mount namespace: {said}"
        ));
        return;
    }
    assert_eq!(
        (output.status.code(), text(&output.stdout).as_str()),
        (Some(2), ""),
        "{said}"
    );
    assert!(
        said.contains("the disk is full") && said.contains("TMPDIR"),
        "{said}"
    );
}

/// Nothing is taken from what a builder prints, however alike it looks.
#[test]
fn look_alikes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    // Go repeats what stands in go.mod; Nix's words in it are only text.
    let drv = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-module-0-go-modules.drv";
    let go_mod = format!(
        "module example.com/x\n\n\"error: hash mismatch in fixed-output derivation '{drv}': specified: \
         sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= got: \
         sha256-DFAv73KG7NcfBDnRd6ahWCkqKEfaOY1LbuYqMn2AAck=\"\n"
    );
    let tree = module(folder, &[("go.mod", &go_mod), UUID], "");
    let output = run(&mut compute(&tree, &["--nix", "--pkgs", "host"]));
    let said = text(&output.stderr);
    assert_eq!(
        (output.status.code(), text(&output.stdout).as_str()),
        (Some(1), ""),
        "{said}"
    );
    assert!(
        said.contains("hash mismatch in fixed-output") && said.contains("no hash"),
        "{said}"
    );
}

/// The sample's pin holds, by both ways.
#[test]
fn the_sample() {
    let sample = root().join("containers/authentik/sample");
    let pins = sample.join("pins.json");
    for way in [&["--go", go()][..], &["--nix", "--pkgs", "host"]] {
        let mut command = compute(&sample, &["--check", "--pins", pins.as_str()]);
        stdout(command.args(way));
    }
}
