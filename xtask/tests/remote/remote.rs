//! `test-build --on HOST`: a real sshd, real Nix behind it, and connections that are really cut.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use rustix::process::{Pid, Signal, getpgid, kill_process, kill_process_group};
use serde_json::Value;

use test_support::common::{rounds, run, sample_copy, stdout, text, wait_until, xtask};
use test_support::far::{Far, SHELLS, write};
use test_support::harness::{Ended, Harness, programs};
use test_support::live;
use test_support::terminal::Terminal;

fn ended(command: &mut Command) -> Ended {
    let output = run(command);
    let stdout = text(&output.stdout);
    let rows = stdout
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    Ended {
        code: output.status.code(),
        rows,
        stdout,
        stderr: text(&output.stderr),
    }
}

fn signal(process: u32, signal: Signal) {
    let process = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    // It may have ended by itself.
    let _ = kill_process(process, signal);
}

const THREE: &str = r#"
  good = sh "good" { } (phase "buildPhase" + "echo some; echo words >&2; echo > $out");
  bad = sh "bad" { } (phase "buildPhase" + "echo before; tsc --version");
  fixed_ = fixed "fixed" wrong "echo content > $out";
"#;

/// What people see, without what is another each time.
pub fn seen(said: &str) -> Vec<String> {
    let mut lines: Vec<String> = said
        .lines()
        // Phases that were short are left out, and which are is chance.
        .filter(|line| !line.starts_with("package set:") && !line.starts_with("  buildPhase"))
        .map(|line| line.replace("basher:/nix", "/nix"))
        .map(|line| {
            let words = line.split([' ', ',']).filter(|word| !word.is_empty());
            let is_number = |word: &str| word.parse::<f64>().is_ok();
            let words = words.map(|word| if is_number(word) { "N" } else { word });
            // Nix names derivations in the order of their hashes.
            let mut words: Vec<&str> = words.collect();
            words.sort_unstable();
            words.join(" ")
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn it_looks_and_ends_as_here() {
    let Some(far) = Far::start() else {
        return;
    };
    // Two repositories with the same components, so that both build them.
    let (there, here) = (Harness::new(THREE), Harness::new(THREE));
    let strip = |said: &str, harness: &Harness| {
        // The word that makes derivations new, and the hashes that follow from it.
        let test_build =
            fs_err::read_to_string(harness.root().join("containers/authentik/test-build.nix"));
        let test_build = test_build.unwrap();
        let unique = test_build.split("${name}-").nth(1).unwrap();
        let unique = unique.split('"').next().unwrap();
        let said = said.replace(unique, "U");
        let mut parts = said.split("/nix/store/");
        let first = parts.next().unwrap().to_owned();
        parts.fold(first, |all, part| all + "/nix/store/" + &part[32..])
    };
    let logs = |said: &str| -> String {
        // The first eight characters of a hash are in the names of log files.
        said.lines()
            .filter(|line| !line.contains("whole log:"))
            .fold(String::new(), |all, line| all + line + "\n")
    };
    for arguments in [
        &["good", "--json"][..],
        &["bad"],
        &["good", "bad", "fixed_", "--keep-going"],
        &["fixed_", "--json"],
        &["godo"],
        &["--list"],
        &["--list", "--json"],
    ] {
        let local = here.test_build(arguments);
        let remote = ended(&mut far.command(&there, "basher", arguments));
        assert_eq!(remote.code, local.code, "{arguments:?}\n{}", remote.stderr);
        assert_eq!(
            seen(&logs(&strip(&remote.stderr, &there))),
            seen(&logs(&strip(&local.stderr, &here))),
            "{arguments:?}"
        );
        for (far, near) in remote.rows.iter().zip(&local.rows) {
            assert_eq!(
                (&far["host"], &near["host"]),
                (&"basher".into(), &Value::Null)
            );
            assert_eq!(far["state"], near["state"]);
        }
        assert_eq!(remote.rows.len(), local.rows.len());
    }
    gone(&far);
    // The whole log of a derivation is kept here, too.
    assert_eq!(text(&there.log("bad-")).lines().nth(1), Some("before"));
}

#[test]
fn builders_have_the_settings_of_git_there() {
    let Some(far) = Far::start() else {
        return;
    };
    // Read there, brought here, sent back as a word and shown by a build: it has to stay as it is.
    let odd = "a: b  $(touch x) `touch x` 'it' * $HOME é;&|<>(){}#!~ -n";
    let setting = format!("[url \"https://there.example/\"]\n\tinsteadOf = \"{odd}\"\n");
    let header = "[http]\n\textraHeader = X-Token: secret\n";
    write(
        &far.path().join("home/.gitconfig"),
        &format!("{header}{setting}"),
    );
    let here = far.path().join("gitconfig-here");
    write(&here, &setting.replace("there", "here"));
    let harness = Harness::new(
        r#"
  git = sh "git" { outputHashMode = "recursive"; outputHashAlgo = "sha256"; outputHash = wrong;
    impureEnvVars = [ "FETCH_GITCONFIG" ]; } "printf %s \"$FETCH_GITCONFIG\"; exit 1";
  other = sh "other" { impureEnvVars = [ "FETCH_GITCONFIG" ]; } "echo \"<$FETCH_GITCONFIG>\"; exit 1";
"#,
    );
    for (account, _) in SHELLS {
        let mut command = far.command(&harness, account, &["git", "other", "--keep-going"]);
        let ended = ended(command.env("GIT_CONFIG_GLOBAL", &here));
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert_eq!(text(&harness.log("git-")), setting);
        assert_eq!(text(&harness.log("other-")), "<>\n");
    }
}

#[test]
fn running_builds_have_a_line_each() {
    let Some(far) = Far::start() else {
        return;
    };
    let harness = live::harness();
    let command = far.command(&harness, "basher", &live::ALL);
    live::has_a_line_for_each(Terminal::start(&command, 24, 100));
    gone(&far);
}

#[test]
fn nothing_to_do_takes_three_round_trips() {
    let Some(far) = Far::start() else {
        return;
    };
    let harness = Harness::new(r#"good = sh "good" { } "echo > $out";"#);
    let first = ended(&mut far.command(&harness, "basher", &["good"]));
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    // Whatever the settings of the login shell print is passed over.
    write(
        &far.path().join("home/.bashrc"),
        "echo Welcome; echo Hello >&2\n",
    );
    let again = ended(&mut far.command(&harness, "basher", &["good", "-v", "--json"]));
    assert_eq!(again.state("good"), "cached");
    again.says(&["basher: 3 round trips", "on: basher"]);
    gone(&far);
}

#[test]
fn a_laptop_without_nix() {
    let Some(far) = Far::start() else {
        return;
    };
    let harness = Harness::new(
        r#"good = sh "good" { } "mkdir -p $out/bin; echo content > $out/bin/file; ln -s bin/file $out/link; ln -s $out $out/self";
           flat = sh "flat" { } "echo flat > $out";"#,
    );
    let path = harness.root().join("path");
    programs(&path, &[], &["ssh", "tar", "gzip", "sh", "rm", "chmod"]);
    let arguments = ["good", "flat", "--json", "--fetch"];
    // Twice: the second takes the place of the first.
    for _ in 0..2 {
        let mut command = far.command(&harness, "dasher", &arguments);
        let built = ended(command.env("PATH", &path));
        assert_eq!(built.code, Some(0), "{}", built.stderr);
        built.says(&["fetched ", "there is no Nix here"]);
        let fetched = harness.root().join("target/test-build/dasher/authentik");
        let read = |name: &str| fs_err::read_to_string(fetched.join(name)).unwrap();
        assert_eq!(
            (read("good/link"), read("flat")),
            ("content\n".to_owned(), "flat\n".to_owned())
        );
        let names: Vec<_> = fetched.read_dir_utf8().unwrap().collect();
        assert_eq!(names.len(), 2, "{names:?}");
        // No link of a result is a GC root.
        let dropped = ended(harness.command(&["--gc"]).env("PATH", &path));
        assert_eq!(dropped.code, Some(0), "{}", dropped.stderr);
        dropped.says(&["there were no GC roots of results"]);
        assert!(fetched.join("good/self").is_symlink());
    }
    gone(&far);
}

#[test]
fn closures_come_into_the_store_here() {
    let Some(far) = Far::start() else {
        return;
    };
    let harness = Harness::new(
        r#"dependency = sh "dependency" { } "echo dependency > $out";
           good = sh "good" { inherit dependency; } "echo $dependency > $out";"#,
    );
    // A store of its own: the machine's is the other's.
    let store = harness.root().join("near");
    let mut command = far.command(&harness, "basher", &["good", "--json", "--fetch"]);
    let built = ended(command.env("NIX_REMOTE", format!("local?root={store}")));
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let out = built.row("good")["out"].as_str().unwrap();
    let read = |path: &str| fs_err::read_to_string(format!("{store}{path}")).unwrap();
    let dependency = read(out);
    assert_eq!(read(dependency.trim()), "dependency\n");
    let link = harness
        .root()
        .join("target/test-build/basher/authentik/good");
    assert_eq!(link.read_link_utf8().unwrap(), out);
}

#[test]
fn no_word_is_run_whatever_the_login_shell() {
    let Some(far) = Far::start() else {
        return;
    };
    let touched = format!("touched-{}", std::process::id());
    let names = [
        " a  b ",
        "it's",
        "\"quoted\"",
        &format!("$(touch {touched})"),
        &format!("`touch {touched}`"),
        "two\nlines",
        "--leading",
        "-n",
        "back\\slash",
        "*",
        "$HOME",
        "é;&|<>(){}#!~",
    ];
    let harness = Harness::new(GOOD);
    for (account, _) in SHELLS {
        // They are looked for over there, and none is there.
        let mut command = far.command(&harness, account, &["good", "--json"]);
        let ended = ended(command.arg("--").args(names));
        assert_eq!(ended.code, Some(2), "{account}: {}", ended.stderr);
    }
    for folder in ["/", "far", "home"] {
        assert!(!far.path().join(folder).join(&touched).exists());
    }
    assert!(!harness.root().join(&touched).exists());
}

#[test]
fn results_are_kept_until_they_are_dropped() {
    let Some(far) = Far::start() else {
        return;
    };
    let harness = Harness::new(r#"good = sh "good" { } "echo > $out";"#);
    let built = ended(&mut far.command(&harness, "fisher", &["good", "--json"]));
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let out = built.row("good")["out"].as_str().unwrap();
    let roots = || stdout(Command::new("nix-store").args(["--query", "--roots", out]));
    assert!(roots().contains("/xtask/gcroots/somebody@"), "{}", roots());
    // Somebody else's link stays.
    let others = far.path().join("home/.local/state/xtask/gcroots/other@x-1");
    fs_err::create_dir(&others).unwrap();
    fs_err::os::unix::fs::symlink(out, others.join("good")).unwrap();
    let dropped = ended(&mut far.command(&harness, "fisher", &["--gc"]));
    assert_eq!(dropped.code, Some(0), "{}", dropped.stderr);
    dropped.says(&[
        "removed the GC root fisher:",
        "/good\n",
        "1 GC roots removed",
    ]);
    assert!(others.join("good").is_symlink());
    assert!(!roots().contains("somebody@"), "{}", roots());
    let dropped = ended(&mut far.command(&harness, "fisher", &["--gc"]));
    dropped.says(&["there were no GC roots of results"]);
    // The same here.
    assert_eq!(harness.test_build(&["good"]).code, Some(0));
    let link = harness.root().join("target/test-build/authentik/good");
    assert!(link.is_symlink());
    let dropped = harness.test_build(&["--gc"]);
    dropped.says(&["removed the GC root target/test-build/authentik/good\n"]);
    assert!(!link.is_symlink());
}

#[test]
fn a_machine_can_be_the_default() {
    let Some(far) = Far::start() else {
        return;
    };
    let harness = Harness::new(r#"good = sh "good" { } "echo > $out";"#);
    let command = |arguments: &[&str], variable: Option<&str>| {
        let mut command = harness.command(arguments);
        command.env("NIX_SSHOPTS", format!("-F {}/config", far.path()));
        if let Some(variable) = variable {
            command.env("XTASK_BUILD_HOST", variable);
        }
        ended(&mut command)
    };
    let host = |ended: &Ended| {
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.row("good")["host"].clone()
    };
    let build = &["good", "--json"][..];
    assert_eq!(host(&command(build, Some("basher"))), "basher");
    harness.write(
        "containers/authentik/test-build.json",
        r#"{ "on": "dasher" }"#,
    );
    assert_eq!(host(&command(build, None)), "dasher");
    assert_eq!(host(&command(build, Some("basher"))), "basher");
    assert_eq!(host(&command(build, Some("local"))), Value::Null);
    let local = command(&["good", "--json", "--on", "local"], Some("basher"));
    assert_eq!(host(&local), Value::Null);
    let refused = command(&["good", "--fetch", "--on", "local"], None);
    assert_eq!(refused.code, Some(2));
    refused.says(&["say which by `--on HOST`"]);
    // Another container that names no machine goes along, and one that names another does not.
    harness.container("proxy", r#"proxy = sh "proxy" { } "echo > $out";"#);
    assert_eq!(host(&command(build, None)), "dasher");
    let both = command(&["good", "proxy", "--json"], None);
    assert_eq!((both.code, host(&both)), (Some(0), "dasher".into()));
    assert_eq!(command(&["--list"], None).code, Some(0));
    harness.write("containers/proxy/test-build.json", r#"{ "on": "basher" }"#);
    let refused = command(build, None);
    refused.says(&["not built on the same machine", "as CONTAINER/COMPONENT"]);
    // What builds nothing needs no agreement, and links go on both.
    assert_eq!(command(&["--list"], None).code, Some(0));
    let dropped = command(&["--gc"], None);
    assert_eq!(dropped.code, Some(0), "{}", dropped.stderr);
    dropped.says(&[
        "removed the GC root basher:",
        "/proxy\n",
        "there were no GC roots",
    ]);
    dropped.says(&[
        "removed the GC root basher:",
        "/proxy\n",
        "there were no GC roots",
    ]);
    let named = command(&["authentik/good", "--json"], None);
    assert_eq!(host(&named), "dasher");
    fs_err::remove_dir_all(harness.root().join("containers/proxy")).unwrap();
    harness.write("containers/authentik/test-build.json", r#"{ "no": 1 }"#);
    let refused = command(build, None);
    assert_eq!(refused.code, Some(2));
    refused.says(&["containers/authentik/test-build.json:1:"]);
}

/// What is left out of what is sent is in no build: else derivations would differ.
#[test]
fn no_more_is_sent_than_builds_take() {
    let Some(far) = Far::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let tree = sample_copy(Utf8Path::from_path(folder.path()).unwrap());
    for other in ["unrelated", ".git", "web/node_modules", "web/dist"] {
        fs_err::create_dir(tree.join(other)).unwrap();
        write(&tree.join(other).join("file"), "not for builds");
    }
    // What macOS leaves is not sent, and no source of a build here.
    for left in [
        ".DS_Store",
        "lifecycle/.DS_Store",
        "web/authentik/._icon.svg",
        "authentik/._manage.py",
        "scripts/api/ts-templates/.DS_Store",
        "cmd/.DS_Store",
    ] {
        write(&tree.join(left), "not for builds");
    }
    let pins = tree.join("pins.json");
    let drvs = |host: &str| {
        let mut command = xtask();
        command
            .args([
                "test-build",
                "--all",
                "--json",
                "--pkgs",
                "host",
                "--on",
                host,
            ])
            // Nothing is built, whatever is lacking.
            .args(["--max-jobs", "0", "--keep-going", "-v", "--source"])
            .args([&tree, Utf8Path::new("--pins"), &pins])
            .env("NIX_SSHOPTS", format!("-F {}/config", far.path()));
        let ended = ended(&mut command);
        assert!(ended.rows.len() > 10, "{}", ended.stderr);
        let drvs = ended.rows.iter().map(|row| row["drv"].to_string());
        (drvs.collect::<Vec<_>>(), ended.stderr)
    };
    let (there, said) = drvs("dasher");
    assert_eq!(there, drvs("local").0);
    let sent = |line: &&str| line.starts_with("$ tar ") && line.contains(tree.as_str());
    let sent = said.lines().find(sent).unwrap();
    assert!(
        sent.contains(" lifecycle ") && !sent.contains("unrelated"),
        "{sent}"
    );
}

#[test]
fn pins_are_written_here() {
    let Some(far) = Far::start() else {
        return;
    };
    let harness = Harness::new(
        r#"one = fixed "one" (hashOf "one") "echo one > $out";
           pinned = [ (one // { pin = { file = pinsFile; key = [ "sources" "one" "hash" ]; }; }) ];"#,
    );
    let wrong = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    harness.write(
        "containers/authentik/pins.json",
        &format!(
            r#"{{ "version": "1", "sources": {{ "one": {{ "places": [ {{ "npm": "x", "version": "1" }} ], "hash": "{wrong}" }} }} }}"#
        ),
    );
    let mismatch = ended(&mut far.command(&harness, "basher", &["one", "--json"]));
    assert_eq!(
        (mismatch.code, mismatch.state("one")),
        (Some(1), "hash mismatch")
    );
    mismatch.says(&["pin:       `sources.one.hash` in containers/authentik/pins.json"]);
    let written = ended(&mut far.command(&harness, "basher", &["one", "--json", "--write-pins"]));
    assert_eq!(written.code, Some(0), "{}", written.stderr);
    let pins = fs_err::read_to_string(harness.root().join("containers/authentik/pins.json"));
    assert!(!pins.unwrap().contains(wrong));
}

#[test]
fn what_an_evaluation_says_names_files_of_this_machine() {
    let Some(far) = Far::start() else {
        return;
    };
    let harness = Harness::new("broken = throw \"out of order\";");
    let failed = ended(&mut far.command(&harness, "basher", &["broken"]));
    assert_eq!(failed.code, Some(2), "{}", failed.stderr);
    failed.says(&["out of order", "containers/authentik/test-build.nix"]);
    assert!(!failed.stderr.contains("xtask-on."), "{}", failed.stderr);
}

/// The folder's name stands in JSON and in plain words of Nix's.
#[test]
fn a_repository_in_a_folder_of_any_name() {
    let Some(far) = Far::start() else {
        return;
    };
    let name = "say \"no\" \\ it's $(x)\n\t-";
    let components = format!("{GOOD} broken = throw \"out of order\";");
    let harness = Harness::below(name, &components);
    let built = ended(&mut far.command(&harness, "fisher", &["good", "--json"]));
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    assert_eq!(built.state("good"), "built");
    let failed = ended(&mut far.command(&harness, "basher", &["broken"]));
    failed.says(&["out of order", "containers/authentik/test-build.nix"]);
    assert!(!failed.stderr.contains("xtask-on."), "{}", failed.stderr);
}

/// Through a daemon builders are none of this run's processes; it ends them when it is left.
#[test]
fn through_a_daemon_there() {
    let variables = ["NIX_REMOTE=daemon", "NIX_DAEMON_SOCKET_PATH=$D/socket"];
    let Some(far) = Far::start_with(&variables, "") else {
        return;
    };
    let mut daemon = Command::new("nix-daemon")
        .env("NIX_DAEMON_SOCKET_PATH", far.path().join("socket"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the daemon listens", || far.path().join("socket").exists());
    let harness = Harness::new(&format!("{GOOD}{SLOW}"));
    let built = ended(&mut far.command(&harness, "basher", &["good", "--json"]));
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    assert_eq!(built.state("good"), "built");
    let child = start(&far, &harness, "basher");
    signal(child.id(), Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    gone(&far);
    // Cut off, too.
    let child = start(&far, &harness, "dasher");
    signal(child.id(), Signal::KILL);
    child.wait_with_output().unwrap();
    gone(&far);
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

// Nix's own ways to other machines.

#[test]
fn in_another_store() {
    let conf = "containers/host-pkgs/nix.conf";
    let Some(far) = Far::start_with(&["NIX_USER_CONF_FILES=$D/nix.conf"], "") else {
        return;
    };
    let harness = Harness::new(
        r#"dependency = sh "dependency" { } "echo dependency > $out";
           good = sh "good" { inherit dependency; } (phase "buildPhase" + "echo words; echo > $out");
           bad = sh "bad" { } "exit 3";"#,
    );
    fs_err::copy(harness.root().join(conf), far.path().join("nix.conf")).unwrap();
    // A store of its own: Nix 2.8 hangs where both ends have the same.
    let store = format!(
        "ssh-ng://basher?remote-store=local%3Froot%3D{}/store",
        far.path()
    );
    let in_store = |arguments: &[&str]| {
        let mut command = harness.command(arguments);
        command
            .env("NIX_SSHOPTS", format!("-F {}/config", far.path()))
            // The default that is overruled.
            .env("XTASK_BUILD_HOST", "nowhere.invalid")
            .args(["--json", "--store", &store]);
        ended(&mut command)
    };
    let built = in_store(&["good"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    built.says(&["on: ssh-ng://basher", "good> words"]);
    assert_eq!(built.state("good"), "built");
    let out = built.row("good")["out"].as_str().unwrap();
    let there = format!("{}/store{out}", far.path());
    assert!(std::path::Path::new(&there).exists() && !std::path::Path::new(out).exists());
    assert_eq!(in_store(&["good"]).state("good"), "cached");
    let failed = in_store(&["bad"]);
    assert_eq!((failed.code, failed.state("bad")), (Some(1), "failed"));
    failed.says(&["bad: failed with exit code 3"]);
}

#[test]
fn machines_that_nix_shares_builds_with() {
    let harness = Harness::new(GOOD);
    let builders = "ssh://nowhere.invalid x86_64-linux";
    let shared = ["good", "--json", "--builders", builders, "--max-jobs", "0"];
    let refused = harness.test_build(&shared);
    assert_eq!((refused.code, refused.state("good")), (Some(2), "skipped"));
    refused.says(&[
        "cannot build on 'ssh://nowhere.invalid'",
        // newer Nix writes it with a capital letter
        "nable to start any build",
    ]);
}

// What goes wrong before anything is built.

fn refused(far: &Far, harness: &Harness, account: &str, arguments: &[&str], parts: &[&str]) {
    let refused = ended(&mut far.command(harness, account, arguments));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    refused.says(parts);
    gone(far);
}

const GOOD: &str = r#"good = sh "good" { } "echo > $out";"#;

#[test]
fn logins_that_fail() {
    let Some(far) = Far::start() else {
        return;
    };
    let harness = Harness::new(GOOD);
    let config = far.path().join("config");
    let as_it_was = fs_err::read_to_string(&config).unwrap();
    let known_hosts = far.path().join("known_hosts");
    let known = fs_err::read_to_string(&known_hosts).unwrap();

    for name in ["-oProxyCommand=touch x", "a b", ""] {
        let mut command = harness.command(&["good"]);
        let refused = ended(command.arg(format!("--on={name}")));
        assert_eq!(refused.code, Some(2), "{name}: {}", refused.stderr);
        refused.says(&["invalid host name"]);
    }
    write(
        &config,
        &as_it_was.replace("HostName 127.0.0.1", "HostName nowhere.invalid"),
    );
    let parts = ["there is no host `basher`"];
    refused(&far, &harness, "basher", &["good"], &parts);

    write(&config, &as_it_was.replace("/user\n", "/stranger\n"));
    let parts = [
        "`basher` refused the login",
        "ssh-copy-id basher",
        "keep a connection open",
    ];
    refused(&far, &harness, "basher", &["good"], &parts);
    // A forwarded port is not for a connection that others use.
    let mut run = xtask();
    run.args(["run", "--sample", "--on", "basher"])
        .env("NIX_SSHOPTS", format!("-F {config}"));
    let refused_too = ended(&mut run);
    assert_eq!(refused_too.code, Some(2), "{}", refused_too.stderr);
    refused_too.says(&["a connection of its own", "ssh-copy-id basher"]);
    assert!(
        !refused_too.stderr.contains(parts[2]),
        "{}",
        refused_too.stderr
    );
    write(&config, &as_it_was);

    // Whose key nobody knows is not let in silently, and whose key changed even less.
    write(&known_hosts, "");
    let parts = ["the host key of `basher` is not known yet"];
    refused(&far, &harness, "basher", &["good"], &parts);
    assert_eq!(fs_err::read_to_string(&known_hosts).unwrap(), "");
    let other = fs_err::read_to_string(far.path().join("stranger.pub")).unwrap();
    let other: Vec<&str> = other.split_whitespace().take(2).collect();
    let place = known.split(' ').next().unwrap();
    let changed = format!("{place} {}\n", other.join(" "));
    write(&known_hosts, &changed);
    let parts = ["`basher` has another host key", "no file was sent"];
    refused(&far, &harness, "basher", &["good"], &parts);
    // Settings that let in anybody, and say nothing, change nothing about it.
    let careless = format!("StrictHostKeyChecking no\nLogLevel QUIET\n{as_it_was}");
    write(&config, &careless);
    refused(&far, &harness, "basher", &["good"], &parts);
    assert_eq!(fs_err::read_to_string(&known_hosts).unwrap(), changed);
    // Somebody who wants to know all gets no less.
    write(&known_hosts, &known);
    write(&config, &format!("LogLevel DEBUG3\n{as_it_was}"));
    let built = ended(&mut far.command(&harness, "basher", &["good"]));
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    assert!(!built.stderr.contains("debug"), "{}", built.stderr);
    // It has to read and to run something there.
    for setting in ["StdinNull yes", "SessionType none"] {
        write(&config, &format!("{setting}\n{as_it_was}"));
        let parts = [
            "could not connect to `basher`",
            "`ssh -G basher` shows them",
        ];
        refused(&far, &harness, "basher", &["good"], &parts);
    }
}

/// A folder for PATH with the programs that the other side needs, and these scripts.
fn path_with(far: &Far, scripts: &[(&str, &str)], more: &[&str]) {
    let mut links = vec![
        "cat", "chmod", "dd", "env", "grep", "gzip", "mkdir", "mktemp", "readlink", "rm", "setsid",
        "sh", "sleep", "tar", "tr", "uname", "wc",
    ];
    links.extend(more);
    let scripted: Vec<&str> = scripts.iter().map(|(name, _)| *name).collect();
    links.retain(|name| !scripted.contains(name));
    programs(&far.path().join("path"), scripts, &links);
}

#[test]
fn machines_that_can_t_build() {
    let Some(far) = Far::start_with(&["PATH=$D/path"], "") else {
        return;
    };
    let harness = Harness::new(GOOD);
    let path = far.path().join("path");
    let nix = ["nix-store", "nix-build", "nix-instantiate"];

    path_with(&far, &[], &[]);
    let parts = ["there is no Nix on `dasher`", "/path"];
    refused(&far, &harness, "dasher", &["good"], &parts);
    fs_err::remove_dir_all(&path).unwrap();

    let other = [("uname", "echo Linux riscv64")];
    path_with(&far, &other, &nix);
    let parts = ["`dasher` is a machine of riscv64-linux"];
    refused(&far, &harness, "dasher", &["good"], &parts);
    fs_err::remove_dir_all(&path).unwrap();

    let mac = [("uname", "echo Darwin arm64")];
    path_with(&far, &mac, &nix);
    let parts = ["`dasher` is a machine of aarch64-darwin"];
    refused(&far, &harness, "dasher", &["good"], &parts);
    fs_err::remove_dir_all(&path).unwrap();

    let old = [("nix-store", "echo 'nix-store (Nix) 2.3.16'")];
    path_with(&far, &old, &nix[1..]);
    let parts = ["`dasher` has Nix 2.3.16: 2.8 or later is needed"];
    refused(&far, &harness, "dasher", &["good"], &parts);
    fs_err::remove_dir_all(&path).unwrap();

    path_with(&far, &[], &nix);
    fs_err::remove_file(path.join("gzip")).unwrap();
    let parts = ["`dasher` is missing programs that every Linux has: gzip"];
    refused(&far, &harness, "dasher", &["good"], &parts);
}

/// A build of `good` on another machine, over nixpkgs.
fn over_nixpkgs(far: &Far, harness: &Harness, account: &str) -> Command {
    let command = far.command(harness, account, &["good", "--pkgs", "nixpkgs"]);
    // The last `--pkgs` counts, if there may be two.
    let arguments: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
    let mut own = Command::new(command.get_program());
    own.current_dir(harness.root())
        .args(
            arguments
                .iter()
                .enumerate()
                .filter(|(n, _)| ![1, 2].contains(n))
                .map(|(_, a)| a),
        )
        .env("NIX_SSHOPTS", format!("-F {}/config", far.path()))
        .env_remove("CARGO_MANIFEST_DIR");
    own
}

/// host-pkgs is for one platform; over nixpkgs the expressions say what they lack for another one.
#[test]
fn another_platform_is_one_for_nixpkgs() {
    let Some(far) = Far::start_with(&["PATH=$D/path"], "") else {
        return;
    };
    let harness = Harness::new(GOOD);
    let real = stdout(Command::new("sh").args(["-c", "command -v nix-store"]));
    let newer = format!(
        "[ \"$*\" = --version ] && echo 'nix-store (Nix) 2.26.3' || exec {} \"$@\"",
        real.trim()
    );
    let scripts = [
        ("uname", "echo Linux aarch64"),
        ("nix-store", newer.as_str()),
    ];
    path_with(&far, &scripts, &["nix-build", "nix-instantiate", "dirname"]);
    let parts = [
        "`dasher` is a machine of aarch64-linux",
        "host-pkgs has packages for x86_64-linux only",
    ];
    refused(&far, &harness, "dasher", &["good"], &parts);
    // it builds there, and the harness' builder is one of host-pkgs
    let built = ended(&mut over_nixpkgs(&far, &harness, "dasher"));
    assert_eq!(built.code, Some(1), "{}", built.stderr);
    built.says(&[
        "package set: nixpkgs",
        "executing '/host/usr/bin/bash': No such file",
    ]);
}

#[test]
fn a_nix_too_old_for_what_was_asked() {
    let Some(far) = Far::start() else {
        return;
    };
    let harness = Harness::new(GOOD);
    let refused = ended(&mut over_nixpkgs(&far, &harness, "basher"));
    let version = stdout(Command::new("nix-store").arg("--version"));
    if version.contains(" 2.8") {
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        refused.says(&["on `basher`", "`--pkgs nixpkgs` needs Nix 2.18 or later"]);
    }
    // What Nix does not take it says itself, and settings go as they are.
    let odd = ["good", "--option", "keep-failed", "it's $(x) \n-1"];
    let warned = ended(&mut far.command(&harness, "basher", &odd));
    assert_eq!(warned.code, Some(0), "{}", warned.stderr);
    warned.says(&["Boolean setting 'keep-failed' has invalid value 'it's $(x)"]);
    gone(&far);
}

#[test]
fn a_full_disk_there() {
    let mounts = "mount -t tmpfs -o size=64k,mode=755 none $D/far";
    let Some(far) = Far::start_with(&[], mounts) else {
        return;
    };
    let harness = Harness::new(GOOD);
    // What does not get smaller.
    stdout(
        Command::new("cp")
            .args(["/bin/bash"])
            .arg(harness.root().join("containers/authentik/big")),
    );
    let full = ended(&mut far.command(&harness, "basher", &["good"]));
    assert_eq!(full.code, Some(2), "{}", full.stderr);
    full.says(&["`basher` can't go on:", "No space left on device"]);
    wait_until("nothing runs there", || far.processes().is_empty());
}

// What goes wrong while something is built.

/// A component that builds for long, and prints.
const SLOW: &str = r#"slow = sh "slow" { } (phase "buildPhase" + "for n in {1..3000}; do echo $n; sleep 0.1; done; echo > $out");"#;

fn builders(far: &Far) -> usize {
    let processes = far.processes();
    let builds = |(_, command): &&(i32, String)| command.contains("for n in");
    processes.iter().filter(builds).count()
}

fn nix_builds(far: &Far) -> Vec<i32> {
    let processes = far.processes().into_iter();
    let builds = processes.filter(|(_, command)| command.contains("nix-build --log-format"));
    // Not `env` or `setsid` on the way to it.
    builds
        .filter(|(_, command)| !command.contains("XTASK_RUN="))
        .map(|(process, _)| process)
        .collect()
}

/// The processes of the script that `sh -s` reads.
fn supervisors(far: &Far) -> BTreeSet<i32> {
    let processes = far.processes().into_iter();
    let is_ours =
        |command: &str| command.trim() == "sh -s" || command.starts_with("sh -c # What both");
    let ours = processes.filter(|(_, command)| is_ours(command));
    ours.map(|(process, _)| process).collect()
}

/// Starts a build that takes long, and waits until its builder runs and has said so here.
fn start(far: &Far, harness: &Harness, account: &str) -> Child {
    let before = builders(far);
    let mut command = far.command(harness, account, &["slow", "--json"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("a builder runs", || builders(far) > before);
    let stderr = child.stderr.as_mut().unwrap();
    let (mut said, mut byte) = (Vec::new(), [0]);
    while !said.ends_with(b"[buildPhase]") {
        let read = std::io::Read::read(stderr, &mut byte).unwrap();
        assert_eq!(read, 1, "{}", text(&said));
        said.push(byte[0]);
    }
    child
}

/// Waits until nothing of any run is left there.
fn gone(far: &Far) {
    wait_until("nothing runs there, and no folder is left", || {
        far.processes().is_empty() && far.folders().is_empty()
    });
}

#[test]
fn interrupted_once_and_twice() {
    let Some(far) = Far::start() else {
        return;
    };
    let harness = Harness::new(SLOW);
    for (sent, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let child = start(&far, &harness, "fisher");
        signal(child.id(), sent);
        let output = child.wait_with_output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains("while building slow (buildPhase)"), "{said}");
        gone(&far);
    }
    let child = start(&far, &harness, "basher");
    // It does not come to an end by itself.
    for nix_build in nix_builds(&far) {
        signal(u32::try_from(nix_build).unwrap(), Signal::STOP);
    }
    signal(child.id(), Signal::INT);
    std::thread::sleep(Duration::from_millis(300));
    signal(child.id(), Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(!nix_builds(&far).is_empty(), "it waited for the other side");
    gone(&far);
}

#[test]
fn a_laptop_whose_lid_is_closed() {
    let Some(far) = Far::start() else {
        return;
    };
    let harness = Harness::new(SLOW);
    let child = start(&far, &harness, "dasher");
    // Nothing is said any more, and no connection is closed.
    signal(child.id(), Signal::STOP);
    gone(&far);
    signal(child.id(), Signal::CONT);
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("the connection to `dasher` was lost"),
        "{said}"
    );
}

/// Over somebody's open connection it is not this run's ssh that notices.
#[test]
fn an_open_connection_that_falls_silent() {
    let Some(far) = Far::start() else {
        return;
    };
    let harness = Harness::new(SLOW);
    let socket = far.path().join("root");
    let mut master = Command::new("ssh")
        .args(["-F", far.path().join("config").as_str(), "-M", "-N"])
        .args(["-S", socket.as_str(), "basher"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the connection is open", || socket.exists());
    // As the harness has its settings for ssh from the same file.
    let config = far.path().join("config");
    let as_it_was = fs_err::read_to_string(&config).unwrap();
    write(&config, &format!("ControlPath {socket}\n{as_it_was}"));
    let child = start(&far, &harness, "basher");
    assert_eq!(children(far.sshd()).len(), 1);
    signal(master.id(), Signal::STOP);
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("has said nothing for 14 seconds"), "{said}");
    gone(&far);
    master.kill().unwrap();
    master.wait().unwrap();
}

/// A pager, or Ctrl-S, takes nothing for as long as it likes.
#[test]
fn a_terminal_that_is_paused() {
    let Some(far) = Far::start() else {
        return;
    };
    // More than the pipe to the terminal holds, then nothing for longer than the other side may be silent.
    let harness = Harness::new(
        r#"slow = sh "slow" { } (phase "buildPhase" + "for n in {1..20000}; do echo $n; done; sleep 6; echo > $out");"#,
    );
    let mut command = far.command(&harness, "basher", &["slow", "--json"]);
    let child = command
        .env("XTASK_REMOTE_PATIENCE", "4")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("a builder runs", || builders(&far) > 0);
    wait_until("it has ended", || builders(&far) == 0);
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("\nslow> 20000\n"), "{said}");
}

/// Whatever takes long before the first request, or to unpack, is no silence. The watcher there counts its naps, which
/// are short here while the slow program waits for more of them than a silent near side would get.
#[test]
fn slow_steps_are_no_silence() {
    let Some(far) = Far::start_with(&["PATH=$D/path"], "") else {
        return;
    };
    let harness = Harness::new(GOOD);
    let (naps, slow) = (far.path().join("naps"), far.path().join("slow"));
    let sleep = format!(
        "[ \"$*\" != 1 ] || echo >>{naps}; [ ! -e {slow} ] || set -- 0.01; exec /usr/bin/sleep \"$@\""
    );
    let wait = format!(
        "end=$(($(wc -l <{naps}) + 15)) tries=0; : >{slow}
        while [ $(wc -l <{naps}) -lt $end ]; do
          tries=$((tries + 1)); [ $tries -lt 1000 ] || exit 1; /usr/bin/sleep 0.05
        done
        rm {slow}"
    );
    let tar = format!("{wait}\nexec /usr/bin/tar \"$@\"");
    let greets =
        format!("[ \"$*\" != --version ] || {{ {wait}\n}}\nexec /usr/bin/nix-store \"$@\"");
    let nix = ["nix-store", "nix-build", "nix-instantiate"];
    let here = far.path().join("here");
    let path = std::env::var("PATH").unwrap();
    for (what, scripts_here, script_there) in [
        ("it packs here", vec![("tar", &*tar)], None),
        ("it greets", vec![], Some(("nix-store", &*greets))),
        ("it unpacks there", vec![], Some(("tar", &*tar))),
    ] {
        for folder in ["path", "here"] {
            let _ = fs_err::remove_dir_all(far.path().join(folder));
        }
        write(&naps, "");
        programs(&here, &scripts_here, &[]);
        let mut scripts = vec![("sleep", &*sleep)];
        scripts.extend(script_there);
        let mut linked = nix.to_vec();
        linked.retain(|name| scripts.iter().all(|(script, _)| script != name));
        path_with(&far, &scripts, &linked);
        let mut command = far.command(&harness, "dasher", &["good"]);
        let built = ended(command.env("PATH", format!("{here}:{path}")));
        assert_eq!(built.code, Some(0), "{what}: {}", built.stderr);
        assert!(fs_err::read_to_string(&naps).unwrap().len() >= 15, "{what}");
        gone(&far);
    }
}

/// The processes of sshd that serve connections. From OpenSSH 9.8 on those of the user don't end with the one above.
fn sessions(far: &Far) -> Vec<u32> {
    let is_sshd = |process: &u32| {
        let name = fs_err::read_to_string(format!("/proc/{process}/comm"));
        name.is_ok_and(|name| name.starts_with("sshd"))
    };
    let mut found = children(far.sshd());
    for at in 0.. {
        let Some(&process) = found.get(at) else { break };
        found.extend(children(process).iter().filter(|it| is_sshd(it)));
    }
    found
}

#[test]
fn an_sshd_that_dies() {
    let Some(far) = Far::start() else {
        return;
    };
    let harness = Harness::new(SLOW);
    let child = start(&far, &harness, "basher");
    for session in sessions(&far) {
        signal(session, Signal::KILL);
    }
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("the connection to `basher` was lost"),
        "{said}"
    );
    gone(&far);
}

#[test]
fn left_overs_go_and_the_living_stay() {
    let Some(far) = Far::start() else {
        return;
    };
    let (harness, other) = (Harness::new(SLOW), Harness::new(SLOW));
    let living = start(&far, &other, "dasher");
    let of_living = far.folders();
    assert_eq!(of_living.len(), 1);
    let of_living_too = supervisors(&far);
    let child = start(&far, &harness, "basher");
    // All parts at once: nobody is left to tidy up.
    for process in supervisors(&far).difference(&of_living_too) {
        signal(u32::try_from(*process).unwrap(), Signal::KILL);
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert_eq!(far.folders().len(), 2);
    let next = Harness::new(GOOD);
    let built = ended(&mut far.command(&next, "basher", &["good"]));
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    wait_until("the left-overs are gone", || far.folders() == of_living);
    assert_eq!((nix_builds(&far).len(), builders(&far)), (1, 1));
    signal(living.id(), Signal::INT);
    let output = living.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    gone(&far);
}

#[test]
fn kills_at_random_moments() {
    let Some(far) = Far::start() else {
        return;
    };
    let harness = Harness::new(
        r#"
  a = sh "a" { } (phase "buildPhase" + "for n in {1..20}; do echo $n; sleep 0.05; done; echo > $out");
  slow = sh "slow" { inherit a; } (phase "buildPhase" + "for n in {1..3000}; do echo $n; sleep 0.1; done");
"#,
    );
    // Told when it fails, so that it can be repeated.
    let seed = std::process::id() % 1009;
    for n in 0..rounds(7, 35) {
        let millis = u64::from((seed + n * 7919) % 1009) * 3;
        let (account, _) = SHELLS[n as usize % SHELLS.len()];
        let mut command = far.command(&harness, account, &["slow", "--json"]);
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(millis));
        let one = |processes: Vec<u32>| processes.into_iter().take(1).collect();
        let numbers = |processes: Vec<i32>| -> Vec<u32> {
            let numbers = processes.into_iter().map(u32::try_from);
            numbers.collect::<Result<_, _>>().unwrap()
        };
        let ours = |far: &Far| numbers(supervisors(far).into_iter().collect());
        let (what, victims): (_, Vec<u32>) = match n % 7 {
            0 => ("the local process", vec![child.id()]),
            1 => ("the local ssh", children(child.id())),
            2 => ("the sshd of the connection", sessions(&far)),
            3 => ("the first part of the supervisor", one(ours(&far))),
            4 => (
                "the last part of the supervisor",
                ours(&far).pop().into_iter().collect(),
            ),
            5 => ("the supervisor's group", one(ours(&far))),
            _ => ("nix-build", numbers(nix_builds(&far))),
        };
        for victim in victims {
            if what.ends_with("group") {
                let group = getpgid(Pid::from_raw(i32::try_from(victim).unwrap()));
                let _ = group.and_then(|group| kill_process_group(group, Signal::KILL));
            } else {
                signal(victim, Signal::KILL);
            }
        }
        let told = format!("kill {n}: {what} after {millis} ms");
        let start = Instant::now();
        // Without a supervisor's part that follows, the local side may go on; then it is ended as well.
        std::thread::sleep(Duration::from_millis(500));
        signal(child.id(), Signal::TERM);
        let mut child = child;
        wait_until(&told, || child.try_wait().unwrap().is_some());
        wait_until(&told, || far.processes().is_empty());
        assert!(
            start.elapsed() < Duration::from_secs(40),
            "{told}: {:?}",
            start.elapsed()
        );
    }
    let next = Harness::new(GOOD);
    let built = ended(&mut far.command(&next, "basher", &["good"]));
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    gone(&far);
}

/// The processes that one started.
fn children(parent: u32) -> Vec<u32> {
    let processes = fs_err::read_dir("/proc").unwrap().flatten();
    let children = processes.filter_map(|entry| {
        let stat = fs_err::read_to_string(entry.path().join("stat")).ok()?;
        // Behind the program's name, which may hold anything: state, then the parent.
        let its = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
        (its.parse() == Ok(parent)).then(|| entry.file_name().to_str()?.parse().ok())?
    });
    children.collect()
}
