//! A repository of one file with releases, and expressions that depend on each other and on the version as those of
//! authentik do, and take a second each.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use crate::common::{free_port, git, hash, program, run, stdout, text, wait_until};
use crate::harness::Harness;

/// A hash that nothing has.
pub const FAKE: &str = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// A hash of something else.
pub const OTHER: &str = "sha256-DFAv73KG7NcfBDnRd6ahWCkqKEfaOY1LbuYqMn2AAck=";

/// `app` is the source; `deps` is made of it under a name without a version, `more` of that; `same` is made of
/// the version and stays; `still` is made of nothing. `component` and its test are built from all.
const COMPONENTS: &str = r#"
  json = builtins.fromJSON (builtins.readFile pinsFile);
  inherit (json) version;
  pin = key: derivation: derivation // { pin = { file = pinsFile; inherit key; }; };
  app = pin [ "sources" "app" "hash" ] (fixed "app-${version}" json.sources.app.hash ''
    mkdir $out
    printf '{"version":"%s"}' ${version} >$out/package.json
  '');
  deps = pin [ "deps" "at" "here" ] (fixed "deps" json.deps.at.here "sleep SLEEP; cp ${app}/package.json $out");
  more = pin [ "more" "hash" ] (fixed "more" json.more.hash "sleep SLEEP; (cat ${deps}; echo more) >$out");
  same = pin [ "same" "hash" ] (fixed "same-${version}" json.same.hash "echo same >$out");
  still = pin [ "still" "hash" ] (fixed "still" json.still.hash "echo still >$out");
  pinned = [ app deps more same still ];
  component = sh "component-${version}" { inherit more same still; } "cat $more $same $still; FAIL; echo >$out" // {
    tests.works = sh "works" { inherit component; } "TEST; echo >$out";
  };
"#;

/// The repository of this one, and upstream's beside it.
pub struct Upstream {
    /// The repository with the expressions and pins.
    pub harness: Harness,
}

impl Upstream {
    /// With 1.0.0 pinned, by true hashes, and 1.0.1 released.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same with other words in the expressions: SLEEP, FAIL and TEST are for that.
    pub fn with(edits: &[(&str, &str)]) -> Self {
        let defaults = [("SLEEP", "0"), ("FAIL", ":"), ("TEST", ":")];
        let mut components = COMPONENTS.to_owned();
        for (from, to) in edits.iter().chain(&defaults) {
            components = components.replace(from, to);
        }
        let harness = Harness::new(&components);
        harness.write(
            "containers/authentik/source-tree.json",
            r#"{ "has": [], "version": "package.json", "source": "app" }"#,
        );
        let upstream = Self { harness };
        let root = upstream.root();
        let [app, deps, more, same, still] = upstream.hashes();
        let pins = json!({
            "version": "1.0.0",
            "sources": { "app": {
                "hash": app,
                "places": [{ "git": format!("file://{root}/upstream.git"), "rev": "v{version}" }]
            } },
            "deps": { "at": { "here": deps } },
            "more": { "hash": more },
            "same": { "hash": same },
            "still": { "hash": still }
        });
        let pins = serde_json::to_string_pretty(&pins).unwrap();
        upstream
            .harness
            .write("containers/authentik/pins.json", &(pins + "\n"));
        stdout(git(&root).args(["init", "--quiet", "--bare", "upstream.git"]));
        upstream.release("1.0.0");
        upstream.release("1.0.1");
        upstream
    }

    /// The hashes of what is made of 1.0.0, of the same files: nothing is built for them.
    fn hashes(&self) -> [String; 5] {
        let version = r#"{"version":"1.0.0"}"#;
        let more = format!("{version}more\n");
        let files = ["app/package.json", "deps", "more", "same", "still"];
        for (file, text) in files
            .iter()
            .zip([version, version, &more, "same\n", "still\n"])
        {
            self.harness.write(&format!("made/{file}"), text);
        }
        ["app", "deps", "more", "same", "still"]
            .map(|name| hash(&self.root().join("made").join(name), false))
    }

    /// The root of the repository.
    pub fn root(&self) -> Utf8PathBuf {
        self.harness.root()
    }

    /// Commits a tree of this version, and tags it; the tag moves if there is one.
    pub fn release(&self, version: &str) {
        let text = format!("{{\"version\":\"{version}\"}}");
        self.harness.write("tree/package.json", &text);
        let git = |arguments: &[&str]| {
            let mut command = git(&self.root());
            let folders = ["--git-dir", "upstream.git", "--work-tree", "tree"];
            stdout(command.args(folders).args(arguments));
        };
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--allow-empty", "--message", version]);
        git(&["tag", "--force", &format!("v{version}")]);
    }

    /// The bytes of the pins.
    pub fn pins(&self) -> Vec<u8> {
        fs_err::read(self.root().join("containers/authentik/pins.json")).unwrap()
    }

    /// The pins.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.pins()).unwrap()
    }

    /// `update` over host-pkgs, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .current_dir(self.root())
            .env_remove("CARGO_MANIFEST_DIR")
            .args(["update", "--pkgs", "host"])
            .args(arguments);
        command
    }

    /// Exit code, stdout, stderr.
    pub fn update(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = run(&mut self.command(arguments));
        let (out, said) = (text(&output.stdout), text(&output.stderr));
        (output.status.code(), out, said)
    }

    /// The states of pins, by name.
    pub fn states(out: &str) -> Vec<(String, String)> {
        let rows = out
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        rows.filter(|row| row.get("pin").is_some())
            .map(|row| {
                let of = |key: &str| row[key].as_str().unwrap().to_owned();
                (of("pin"), of("state"))
            })
            .collect()
    }

    /// Whether what is pinned is right: nothing is to be found, and all is built.
    pub fn is_right(&self) {
        let built = self.harness.test_build(&["component"]);
        assert_eq!(built.code, Some(0), "{}", built.stderr);
    }

    /// No file that stays has a fake hash.
    pub fn no_fake_stays(&self) {
        let mut grep = Command::new("grep");
        grep.args(["-rl", "--include=*.json", FAKE])
            .arg(self.root().join("target"));
        let found = text(&run(grep.arg(self.root().join("containers"))).stdout);
        assert_eq!(found, "");
    }

    /// What the journal has, if there is one.
    pub fn journal(&self) -> Vec<String> {
        let path = self
            .root()
            .join("target/xtask/update/authentik/journal.json");
        let Ok(text) = fs_err::read_to_string(path) else {
            return Vec::new();
        };
        let journal: Value = serde_json::from_str(&text).unwrap();
        journal["hashes"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    }
}

/// A git daemon for the repositories below a folder, on loopback: builders see no file of this machine's.
pub struct Daemon {
    process: Child,
    /// Where it listens.
    pub port: u16,
}

impl Daemon {
    /// Starts it.
    pub fn start(folder: &Utf8Path) -> Self {
        let port = free_port();
        let mut command = Command::new("git");
        command.args([
            "daemon",
            "--export-all",
            "--reuseaddr",
            "--listen=127.0.0.1",
        ]);
        command
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={folder}"));
        // git starts the daemon proper, which has to end with it.
        command.process_group(0);
        // It complains of whoever only looks whether it listens.
        command.stderr(Stdio::null());
        let process = command.spawn().unwrap();
        let daemon = Self { process, port };
        wait_until("the git daemon listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.process.wait();
    }
}

/// A connection to a daemon that breaks off: it passes on so many bytes of answers, of all who ask together, and
/// nothing after them.
pub struct Line {
    /// Where it listens.
    pub port: u16,
    left: Arc<AtomicUsize>,
}

impl Line {
    /// One that leads to this port, and breaks off after `bytes`.
    pub fn to(port: u16, bytes: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let left = Arc::new(AtomicUsize::new(bytes));
        let line = Self {
            port: listener.local_addr().unwrap().port(),
            left: Arc::clone(&left),
        };
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (near, left) = (near.unwrap(), Arc::clone(&left));
                if left.load(Ordering::SeqCst) == 0 {
                    continue;
                }
                let far = TcpStream::connect(("127.0.0.1", port)).unwrap();
                let (mut asks, mut asked) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut asks, &mut asked);
                    let _ = asked.shutdown(Shutdown::Write);
                });
                std::thread::spawn(move || answer(&near, &far, &left));
            }
        });
        line
    }

    /// How many bytes it still passes on.
    pub fn left(&self) -> usize {
        self.left.load(Ordering::SeqCst)
    }
}

/// Passes on what comes from `far`, as long as bytes are left.
fn answer(mut near: &TcpStream, mut far: &TcpStream, left: &AtomicUsize) {
    let mut byte = [0; 1];
    while far.read_exact(&mut byte).is_ok() {
        let take = |left: usize| left.checked_sub(1);
        let is_left = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        if is_left.is_err() || near.write_all(&byte).is_err() {
            break;
        }
    }
    let _ = near.shutdown(Shutdown::Both);
    let _ = far.shutdown(Shutdown::Both);
}
