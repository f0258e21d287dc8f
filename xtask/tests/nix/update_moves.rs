//! `update` moves a container to a release: all hashes of it or none, whatever happens on the way.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use serde_json::{Value, json};

use test_support::common::{git, hash, root as root_of_repository, rounds, run, stdout, text};
use test_support::harness::accepted;
use test_support::harness::programs;
use test_support::upstream::{OTHER, Upstream};

fn of_pins(pins: &[u8]) -> String {
    String::from_utf8(pins.to_vec()).unwrap()
}

#[test]
fn a_release_in_one_command() {
    let upstream = Upstream::start();
    let before = of_pins(&upstream.pins());
    stdout(git(&upstream.root()).args(["init", "--quiet"]));
    stdout(git(&upstream.root()).args(["add", "containers"]));
    stdout(git(&upstream.root()).args(["commit", "--quiet", "--message", "before"]));
    let (code, _, said) = upstream.update(&["--commit", "--report", "none/report.md"]);
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(
        said,
        "error: `--report none/report.md`: `none` is not a folder\n"
    );
    let report = upstream.root().join("report.md");
    let mut command = upstream.command(&["--json", "--commit", "--report", report.as_str()]);
    for name in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{name}_NAME"), "n")
            .env(format!("GIT_{name}_EMAIL"), "n@example.org");
    }
    let output = run(&mut command);
    let (out, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}");
    let states = Upstream::states(&out);
    let states: Vec<(&str, &str)> = states
        .iter()
        .map(|(pin, state)| (&**pin, &**state))
        .collect();
    assert_eq!(
        states,
        [
            ("version", "changed"),
            ("deps.at.here", "changed"),
            ("more.hash", "changed"),
            ("same.hash", "same, rebuilt"),
            ("sources.app.hash", "changed"),
            ("still.hash", "same, not rebuilt"),
        ]
    );
    // What depends on nothing unknown is found at once, what depends on that in the next round.
    assert!(said.contains("3 rounds of builds: "), "{said}");
    for part in [
        " s by the clock; ",
        " s along the longest chain of builds; ",
        " s of processor time, ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let after = of_pins(&upstream.pins());
    let changed = before
        .lines()
        .zip(after.lines())
        .filter(|(one, two)| one != two)
        .count();
    assert_eq!(
        (changed, before.lines().count()),
        (4, after.lines().count()),
        "{after}"
    );
    upstream.is_right();
    upstream.no_fake_stays();
    let message = stdout(git(&upstream.root()).args(["log", "-1", "--format=%B"]));
    assert!(
        message.starts_with("authentik: 1.0.0 -> 1.0.1\n\n"),
        "{message}"
    );
    assert!(message.contains("more.hash\n  old: sha256-"), "{message}");
    let report = fs_err::read_to_string(report).unwrap();
    assert!(
        report.contains("| `same.hash` | same, rebuilt |"),
        "{report}"
    );
    assert!(report.contains("| build | time |"), "{report}");
    let status = stdout(git(&upstream.root()).args(["status", "--porcelain", "containers"]));
    assert_eq!(status, "");
    // One tree is kept, the one that the next move starts from.
    let trees = upstream.root().join("target/xtask/update/authentik");
    let mut kept: Vec<String> = trees
        .read_dir_utf8()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_owned())
        .collect();
    kept.sort();
    assert_eq!(
        (kept.len(), &*kept[1], &*kept[2]),
        (3, "lock", "of-1.0.1"),
        "{kept:?}"
    );
    // Once more there is nothing to do.
    let (code, _, said) = upstream.update(&[]);
    assert_eq!(code, Some(0));
    assert!(said.contains("is the newest release of its line"), "{said}");
    assert_eq!(of_pins(&upstream.pins()), after);
}

/// What follows from a hash is built once that is known, beside what takes longer: both are held until both are seen.
#[test]
fn nothing_waits_for_what_it_does_not_need() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let held = |word: &str| format!("read < /dev/tcp/127.0.0.1/{port} || true; echo {word}");
    let (same, more) = (held("same"), held("more"));
    let upstream = Upstream::with(&[("echo same", &same), ("echo more", &more)]);
    let both = std::thread::spawn(move || drop((accepted(&listener), accepted(&listener))));
    let (code, _, said) = upstream.update(&["--no-build"]);
    assert_eq!(code, Some(0), "{said}");
    both.join().unwrap();
}

#[test]
fn releases_are_listed_and_chosen() {
    let upstream = Upstream::start();
    for version in ["1.0.2-rc1", "1.0.2", "1.1.0", "1.2.0"] {
        upstream.release(version);
    }
    let bare = upstream.root().join("upstream.git");
    stdout(git(&bare).args(["tag", "vnonsense", "v1.0.0"]));
    let before = upstream.pins();
    let (code, out, _) = upstream.update(&["--list"]);
    assert_eq!(code, Some(0));
    assert_eq!(
        out,
        "version    line  state\n\
         1.2.0      1.2\n\
         1.1.0      1.1   newest of the next line\n\
         1.0.2      1.0   newest of this line\n\
         1.0.2-rc1  1.0\n\
         1.0.1      1.0\n\
         1.0.0      1.0   pinned\n"
    );
    let (_, out, _) = upstream.update(&["--list", "--json"]);
    let first: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    let expected = json!({
        "container": "authentik", "version": "1.2.0", "line": "1.2", "pre_release": false, "state": ""
    });
    assert_eq!(first, expected);
    for (arguments, expected) in [
        (&["--dry-run"][..], "authentik 1.0.0 -> 1.0.2, from file://"),
        (&["--dry-run", "--next"], "-> 1.1.0,"),
        (&["--dry-run", "--to", "1.0.2-rc1"], "-> 1.0.2-rc1,"),
        (
            &["--dry-run", "--to", "1.2.0"],
            "move by `--to 1.1.0` first",
        ),
        (&["--dry-run", "--to", "0.9.0"], "`git revert`"),
        (&["--dry-run", "--to", "1.0.7"], "did you mean 1.0."),
        (&["--dry-run", "--to", "--upload-pack=x"], "error: "),
    ] {
        let (code, _, said) = upstream.update(arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
        let is_refused = !expected.contains("->");
        assert_eq!(code, Some(if is_refused { 2 } else { 0 }), "{said}");
    }
    assert_eq!(upstream.pins(), before);
}

#[test]
fn after_a_failure_nothing_changed() {
    for (edit, expected) in [
        (
            ("FAIL", "echo broken; [ ${version} != 1.0.1 ]"),
            "component",
        ),
        (("TEST", "echo untrue; false"), "component.tests.works"),
        // The registry is gone after the first round.
        (("echo more", "[ ${version} != 1.0.1 ]"), "more.hash"),
    ] {
        let upstream = Upstream::with(&[edit]);
        let before = upstream.pins();
        let (code, _, said) = upstream.update(&[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
        // It is not built again only to say so.
        let begins = format!("{expected}> building ");
        assert_eq!(said.matches(&begins).count(), 1, "{said}");
        assert!(
            said.contains("pins.json is as it was; `--resume` goes on with"),
            "{said}"
        );
        assert_eq!(upstream.pins(), before);
        upstream.no_fake_stays();
        assert!(upstream.journal().contains(&"deps/at/here".to_owned()));
        // The same command once more, and another.
        let (code, _, said) = upstream.update(&["--to", "1.0.1", "--resume"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(!said.contains("found `deps.at.here`"), "{said}");
        let (code, _, said) = upstream.update(&["--to", "1.1.0", "--resume"]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("moves to 1.0.1, not to 1.1.0"), "{said}");
        assert_eq!(upstream.pins(), before);
    }
}

/// As on macOS, where it is below `/var`, a link.
#[test]
fn where_tmpdir_lies_behind_a_link() {
    let upstream = Upstream::start();
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    for path in [folder, &folder.join("private")] {
        let _ = fs_err::create_dir(path);
        fs_err::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    std::os::unix::fs::symlink("private", folder.join("var")).unwrap();
    let mut command = upstream.command(&[]);
    let output = run(command.env("TMPDIR", folder.join("var")));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    upstream.is_right();
}

/// What an earlier run found holds for what it built alone. The old output is in the store under the old hash, so
/// nothing else would tell.
#[test]
fn expressions_that_changed_before_it_went_on() {
    let upstream = Upstream::with(&[("FAIL", "[ ${version} != 1.0.1 ]")]);
    assert_eq!(upstream.update(&[]).0, Some(1));
    let path = upstream.root().join("containers/authentik/test-build.nix");
    let mut expressions = fs_err::read_to_string(&path).unwrap();
    for (from, to) in [
        ("[ ${version} != 1.0.1 ]", ":"),
        (
            "cp ${app}/package.json $out",
            "cat ${app}/package.json ${app}/package.json >$out",
        ),
    ] {
        assert!(expressions.contains(from), "{expressions}");
        expressions = expressions.replace(from, to);
    }
    fs_err::write(&path, expressions).unwrap();
    let (code, _, said) = upstream.update(&["--resume"]);
    assert_eq!(code, Some(0), "{said}");
    for (name, is_found) in [
        ("deps.at.here", true),
        ("more.hash", true),
        ("same.hash", false),
    ] {
        let found = format!("found `{name}`");
        assert_eq!(said.contains(&found), is_found, "{name}: {said}");
    }
    let twice = upstream.root().join("made/twice");
    fs_err::write(&twice, r#"{"version":"1.0.1"}"#.repeat(2)).unwrap();
    assert_eq!(upstream.value()["deps"]["at"]["here"], hash(&twice, false));
}

#[test]
fn hashes_alone() {
    let upstream = Upstream::with(&[("FAIL", "[ ${version} = 1.0.0 ]")]);
    let (code, out, said) = upstream.update(&["--no-build", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(Upstream::states(&out).len(), 6);
    // One pin anew, and what depends on it; nothing changed.
    let before = upstream.pins();
    let (code, out, said) = upstream.update(&["--no-build", "--json", "--only", "deps"]);
    assert_eq!(code, Some(0), "{said}");
    let anew: Vec<String> = Upstream::states(&out)
        .into_iter()
        .filter(|(_, state)| state == "same, rebuilt")
        .map(|(pin, _)| pin)
        .collect();
    assert_eq!(anew, ["deps.at.here", "more.hash"]);
    assert_eq!(upstream.pins(), before);
    let (code, _, said) = upstream.update(&["--only", "deps"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("pins.json is as it was\n"), "{said}");
    let (code, _, said) = upstream.update(&["--to", "1.0.1"]);
    assert_eq!((code, &*said), (Some(0), "authentik is at 1.0.1 already\n"));
    let (code, _, said) = upstream.update(&["--only", "dips"]);
    assert_eq!(code, Some(2));
    assert!(
        said.contains("no pin that can be built here is `dips`"),
        "{said}"
    );
}

#[test]
fn hashes_of_other_systems_go() {
    let upstream = Upstream::start();
    let path = upstream.root().join("containers/authentik/pins.json");
    let mut value = upstream.value();
    value["deps"]["at"]["elsewhere"] = OTHER.into();
    std::fs::write(&path, serde_json::to_string_pretty(&value).unwrap()).unwrap();
    let (code, _, said) = upstream.update(&[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("removed, as nothing here found what they are now: deps.at.elsewhere;"),
        "{said}"
    );
    assert_eq!(upstream.value()["deps"]["at"].as_object().unwrap().len(), 1);
    assert_eq!(upstream.value()["version"], "1.0.1");
}

#[test]
fn a_tag_that_moved_and_a_place_that_is_gone() {
    let upstream = Upstream::with(&[("FAIL", "[ ${version} != 1.0.1 ]")]);
    let before = upstream.pins();
    assert_eq!(upstream.update(&[]).0, Some(1));
    upstream.release("1.0.1");
    let (code, _, said) = upstream.update(&["--resume"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("the tag of 1.0.1 is at commit"), "{said}");
    fs_err::rename(
        upstream.root().join("upstream.git"),
        upstream.root().join("gone.git"),
    )
    .unwrap();
    let (code, _, said) = upstream.update(&[]);
    assert_eq!(code, Some(2));
    assert!(
        said.contains("no place says which releases there are"),
        "{said}"
    );
    assert_eq!(upstream.pins(), before);
}

/// Starts an update whose process group can be killed.
fn started(command: &mut Command) -> Child {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn of_two_at_once_the_second_says_who_runs() {
    let upstream = Upstream::with(&[("SLEEP", "2")]);
    let mut first = started(&mut upstream.command(&[]));
    let lock = upstream.root().join("target/xtask/update/authentik/lock");
    let start = Instant::now();
    let is_held = || fs_err::read_to_string(&lock).is_ok_and(|it| it == first.id().to_string());
    while !is_held() {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    let (code, _, said) = upstream.update(&[]);
    assert_eq!(code, Some(2), "{said}");
    let expected = format!(
        "an update of authentik runs already, process {}",
        first.id()
    );
    assert!(said.contains(&expected), "{said}");
    assert!(first.wait().unwrap().success());
    upstream.is_right();
}

/// A run that is killed at any time leaves the pins as they were or as they become, and what it found is not
/// looked for again.
#[test]
fn killed_at_any_time_it_goes_on() {
    let slow = || Upstream::with(&[("SLEEP", "0.3")]);
    let undisturbed = slow();
    let start = Instant::now();
    let (code, _, said) = undisturbed.update(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("deps.at.here> building "), "{said}");
    let mut whole = start.elapsed();
    let (rounds, mut kills, mut ends) = (rounds(5, 20), 0, 0);
    while kills < rounds {
        let upstream = slow();
        let before = upstream.pins();
        // Spread over the run, at other moments each time.
        let nanoseconds = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
        let part = f64::from(nanoseconds % 1000) / 1000.0;
        let wait = whole.mul_f64((f64::from(kills) + part) / f64::from(rounds));
        let start = Instant::now();
        let mut child = started(&mut upstream.command(&[]));
        while start.elapsed() < wait && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let taken = start.elapsed();
        child.kill().unwrap();
        if child.wait().unwrap().signal() == Some(9) {
            kills += 1;
        } else {
            // The one before it was slower: what it needed had to be built, or the machine was busy.
            ends += 1;
            assert!(ends <= rounds, "{ends} runs ended before they were killed");
            whole = whole.min(taken);
        }
        let after = upstream.pins();
        upstream.no_fake_stays();
        if after != before {
            // It was done.
            upstream.is_right();
            continue;
        }
        let known = upstream.journal();
        let has_journal = upstream
            .root()
            .join("target/xtask/update/authentik/journal.json")
            .exists();
        let flags: &[&str] = if has_journal { &["--resume"] } else { &[] };
        let (code, _, said) = upstream.update(flags);
        assert_eq!(code, Some(0), "after {wait:?}: {said}");
        for key in known {
            let again = format!("found `{}`", key.replace('/', "."));
            assert!(!said.contains(&again), "after {wait:?}: {said}");
            let built = format!("{}> building ", key.replace('/', "."));
            assert!(!said.contains(&built), "after {wait:?}: {said}");
        }
        assert_eq!(upstream.value()["version"], "1.0.1");
        upstream.is_right();
    }
}

/// The API of a forge for pull requests, as far as it is asked for. GitHub gives as many as `per_page` says, Forgejo
/// as `limit` does; both put the branch into `head`.
struct Forge {
    port: u16,
    state: Arc<Mutex<ForgeState>>,
}

#[derive(Default)]
struct ForgeState {
    pulls: Vec<Value>,
    /// Method and path of what was asked, without queries.
    asked: Vec<String>,
    is_broken: bool,
}

impl Forge {
    fn start(counted_by: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<Mutex<ForgeState>>::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &mut shared.lock().unwrap(), counted_by);
            }
        });
        Self { port, state }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

fn answer(mut stream: TcpStream, state: &mut ForgeState, counted_by: &str) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut words = line.split_whitespace();
    let (method, target) = (
        words.next().unwrap().to_owned(),
        words.next().unwrap().to_owned(),
    );
    let (mut length, mut is_known) = (0, false);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        is_known |= header == "authorization: token secret-of-the-runner";
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    state.asked.push(format!("{method} {path}"));
    let of = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.parse::<usize>().unwrap())
    };
    let (status, value) = if state.is_broken {
        (500, json!({ "message": "broken" }))
    } else if !is_known {
        (401, json!({ "message": "who?" }))
    } else if method == "GET" {
        let count = of(counted_by).unwrap();
        let from = (of("page").unwrap() - 1) * count;
        let page: Vec<&Value> = state.pulls.iter().skip(from).take(count).collect();
        (200, json!(page))
    } else {
        let sent: Value = serde_json::from_slice(&body).unwrap();
        let mut pull = if let Ok(number) = path.rsplit('/').next().unwrap().parse::<usize>() {
            state.pulls[number].take()
        } else {
            state.pulls.push(Value::Null);
            json!({
                "number": state.pulls.len() - 1,
                "head": { "ref": sent["head"], "repo": { "full_name": "owner/name" } },
                "base": sent["base"]
            })
        };
        pull["title"] = sent["title"].clone();
        pull["body"] = sent["body"].clone();
        let number = usize::try_from(pull["number"].as_u64().unwrap()).unwrap();
        state.pulls[number] = pull.clone();
        (201, pull)
    };
    let text = value.to_string();
    let head = format!(
        "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    stream.write_all((head + &text).as_bytes()).unwrap();
}

#[test]
fn a_pull_request_for_each_release() {
    for (counted_by, prefix) in [("per_page", ""), ("limit", "/api/v1")] {
        let upstream = Upstream::start();
        let root = upstream.root();
        upstream
            .harness
            .write(".gitignore", "/target\n/tree\n/*.git\n");
        let git_in = |arguments: &[&str]| stdout(git(&root).args(arguments));
        git_in(&["init", "--quiet"]);
        git_in(&["add", "containers", ".gitignore"]);
        git_in(&["commit", "--quiet", "--message", "before"]);
        git_in(&["init", "--quiet", "--bare", "origin.git"]);
        git_in(&["remote", "add", "origin", root.join("origin.git").as_str()]);
        let forge = Forge::start(counted_by);
        // What git is told by its environment.
        let log = root.join("git.log");
        let script = format!(
            "echo \"$3 $GIT_CONFIG_VALUE_0\" >>{log}; exec {} \"$@\"",
            stdout(Command::new("sh").args(["-c", "command -v git"])).trim()
        );
        programs(&root.join("programs"), &[("git", &script)], &[]);
        let path = format!("{root}/programs:{}", std::env::var("PATH").unwrap());
        // One of another branch, and more than a page of them.
        for number in 0..60 {
            forge.state.lock().unwrap().pulls.push(json!({
                "number": number, "title": "", "body": "",
                "head": { "ref": format!("other-{number}"), "repo": { "full_name": "owner/name" } }
            }));
        }
        let propose_by = |container: &str, xtask: &str| {
            let mut command = Command::new(root_of_repository().join("tools/propose-update"));
            command
                .current_dir(&root)
                .args([container, "--", "--pkgs", "host"])
                .env_remove("CARGO_MANIFEST_DIR")
                .env("XTASK", xtask)
                .env("PATH", &path)
                .env("GITHUB_SERVER_URL", "https://forge.example.org")
                .env(
                    "GITHUB_API_URL",
                    format!("http://127.0.0.1:{}{prefix}", forge.port),
                )
                .envs([
                    ("GITHUB_REPOSITORY", "owner/name"),
                    ("GITHUB_TOKEN", "secret-of-the-runner"),
                ])
                .env_remove("GITHUB_REF_NAME");
            for name in ["AUTHOR", "COMMITTER"] {
                command
                    .env(format!("GIT_{name}_NAME"), "n")
                    .env(format!("GIT_{name}_EMAIL"), "n@example.org");
            }
            let output = run(&mut command);
            let said = text(&output.stdout) + &text(&output.stderr);
            assert!(!said.contains("secret-of-the-runner"), "{said}");
            (output.status.code(), said)
        };
        let propose = || propose_by("authentik", env!("CARGO_BIN_EXE_xtask"));
        let pushed = || git_in(&["ls-remote", "origin", "refs/heads/update/*"]);

        let before = upstream.pins();
        let (code, said) = propose();
        assert_eq!(code, Some(0), "{said}");
        let path = format!("{prefix}/repos/owner/name/pulls");
        let (get, post) = (format!("GET {path}"), format!("POST {path}"));
        assert_eq!(forge.asked(), [&*get, &get, &get, &post]);
        let pull = forge.state.lock().unwrap().pulls[60].clone();
        assert_eq!(pull["title"], "authentik: 1.0.0 -> 1.0.1");
        assert_eq!(pull["head"]["ref"], "update/authentik-1.0.1");
        assert_eq!(pull["base"], "main");
        assert!(
            pull["body"]
                .as_str()
                .unwrap()
                .contains("| `more.hash` | changed |"),
            "{pull}"
        );
        let first = pushed();
        assert!(
            first.trim().ends_with("refs/heads/update/authentik-1.0.1"),
            "{first}"
        );
        assert_eq!(upstream.pins(), before);
        assert_eq!(git_in(&["worktree", "list"]).lines().count(), 1);

        // git pushes with the token, and makes the commit without.
        let told = fs_err::read_to_string(&log).unwrap();
        let with_token = |what: &str| {
            let mut lines = told.lines().filter(|line| line.starts_with(what));
            lines.any(|line| line.contains("Authorization: Basic "))
        };
        assert!(with_token("push ") && !with_token("worktree "), "{told}");
        if counted_by == "limit" {
            // From here on the two are the same, but for a release in which a hash is missing.
            let path = root.join("containers/authentik/pins.json");
            let mut value = upstream.value();
            value["deps"]["at"]["elsewhere"] = OTHER.into();
            std::fs::write(&path, serde_json::to_string_pretty(&value).unwrap()).unwrap();
            git_in(&["commit", "--quiet", "--all", "--message", "elsewhere"]);
            forge.asked();
            let (code, said) = propose();
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains("brought up to date"), "{said}");
            let body = forge.state.lock().unwrap().pulls[60]["body"].clone();
            let removed = "| `deps.at.elsewhere` | removed |";
            assert!(body.as_str().unwrap().contains(removed), "{body}");
            // A new revision of nixpkgs takes the place of the one before. What commits is a stand-in for `update`.
            let script = "date +%N >word && git add word && git commit -qm \"nixpkgs: a -> $(cat word)\" && cp word \"$5\"";
            programs(&root.join("stand-in"), &[("xtask", script)], &[]);
            for expected in ["opened", "brought up to date"] {
                let (code, said) = propose_by("nixpkgs", root.join("stand-in/xtask").as_str());
                assert_eq!(code, Some(0), "{said}");
                assert!(said.contains(expected), "{said}");
            }
            let branches = pushed();
            assert!(
                branches.trim().ends_with("refs/heads/update/nixpkgs"),
                "{branches}"
            );
            assert_eq!(branches.lines().count(), 2, "{branches}");
            continue;
        }

        // Once more: nothing is pushed, and nothing is written.
        let (code, said) = propose();
        assert_eq!((code, pushed()), (Some(0), first.clone()), "{said}");
        assert_eq!(forge.asked(), [&*get, &get]);

        // The base moved on: the same pull request, from there.
        git_in(&["commit", "--quiet", "--allow-empty", "--message", "more"]);
        let (code, said) = propose();
        assert_eq!(code, Some(0), "{said}");
        assert_ne!(pushed(), first);
        assert_eq!(forge.asked(), [&*get, &get, &format!("PATCH {path}/60")]);

        forge.state.lock().unwrap().is_broken = true;
        let (code, said) = propose();
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("500"), "{said}");
        forge.state.lock().unwrap().is_broken = false;

        // What a person added there, or made of the commit that is there, stays.
        let own = pushed();
        let (own, branch) = own.trim().split_once('\t').unwrap();
        let message = git_in(&["log", "-1", "--format=%B", own]);
        let parent = format!("{own}^");
        for (parent, message) in [(own, "more"), (&parent, &message)] {
            let made = ["commit-tree", "HEAD^{tree}", "-p", parent, "-m", message];
            let made = format!("{}:{branch}", git_in(&made).trim());
            git_in(&["push", "--quiet", "--force", "origin", &made]);
            let theirs = pushed();
            forge.asked();
            let (code, said) = propose();
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains("is not of this program"), "{said}");
            assert_eq!((pushed(), forge.asked()), (theirs, vec![]));
        }

        // What does not build is not proposed.
        upstream.release("1.0.2");
        let path = root.join("containers/authentik/test-build.nix");
        let broken = fs_err::read_to_string(&path)
            .unwrap()
            .replace("; :; echo >$out", "; false");
        std::fs::write(&path, broken).unwrap();
        git_in(&["commit", "--quiet", "--all", "--message", "broken"]);
        forge.asked();
        let (code, said) = propose();
        assert_eq!((code, forge.asked().len()), (Some(1), 0), "{said}");
        assert_eq!(pushed().lines().count(), 1);
    }
}
