//! `test-build` with real Nix, on small derivations that fail in every way that matters.

use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use test_support::common::{text, wait_until};
use test_support::harness::{Ended, Harness, processes_with};

#[test]
fn a_missing_program_is_named_with_the_file_that_lacks_it() {
    let harness = Harness::new(
        r#"
  lacks = sh "lacks" { } "no-such-program --help" // {
    meta.position = "${toString ./test-build.nix}:7";
  };
"#,
    );
    let ended = harness.test_build(&["lacks"]);
    assert_eq!(ended.code, Some(1));
    ended.says(&[
        "`no-such-program` is in no input of the derivation: add the package",
        "  defined in: containers/authentik/test-build.nix\n",
    ]);
}

#[test]
fn every_state_in_one_run() {
    let harness = Harness::new(
        r#"
  good = sh "good" { } (phase "buildPhase" + "echo one; echo two >&2; " + phase "installPhase" + "echo x > $out") // {
    passthru.tests = { passes = sh "passes" { } "echo > $out"; fails = sh "fails-test" { } "echo no; exit 1"; };
  };
  broken = sh "broken" { } (phase "checkPhase" + "for i in {1..50}; do echo line $i; done; exit 3");
  needs-broken = sh "needs-broken" { dep = sh "inner" { } "echo inner is bad; exit 4"; } "echo > $out";
  wrong-hash = fixed "wrong-hash" wrong "echo hello > $out";
  needs-wrong = sh "needs-wrong" { dep = fixed "other-hash" wrong "echo other > $out"; } "echo > $out";
  disallowed = sh "disallowed" (let dep = sh "dep" { } "echo > $out"; in {
    inherit dep; disallowedReferences = [ dep ];
  }) "echo $dep > $out";
"#,
    );
    let ended = harness.test_build(&["--all", "--keep-going", "--json"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    for (component, state) in [
        ("good", "built"),
        ("good.tests.passes", "built"),
        ("good.tests.fails", "failed"),
        ("broken", "failed"),
        ("needs-broken", "failed"),
        ("wrong-hash", "hash mismatch"),
        ("needs-wrong", "hash mismatch"),
        ("disallowed", "failed"),
    ] {
        assert_eq!(
            ended.state(component),
            state,
            "{component}:\n{}",
            ended.stderr
        );
        assert_eq!(
            ended.row(component)["out"].is_string(),
            state == "built",
            "{component}"
        );
    }
    assert_eq!(ended.rows.len(), 8);

    let good = ended.row("good");
    let keys: Vec<&str> = good
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys,
        [
            "component",
            "container",
            "drv",
            "out",
            "phases",
            "seconds",
            "state"
        ]
    );
    let phases: Vec<&Value> = good["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| &phase["phase"])
        .collect();
    assert_eq!(phases, ["buildPhase", "installPhase"]);

    // another builder's lines may stand between
    let of_good: Vec<&str> = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("good> ") && !line.contains(" building "))
        .collect();
    assert_eq!(
        of_good,
        [
            "good> [buildPhase]",
            "good> one",
            "good> two",
            "good> [installPhase]"
        ]
    );
    ended.says(&[
        "broken in checkPhase: failed with exit code 3\n  | line 21\n",
        "  | line 50\n  derivation: /nix/store/",
        "  whole log: target/test-build/logs/broken-",
        "inner is bad",
        "failed with exit code 4",
        "specified: sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n  got:       sha256-",
        "is not allowed to refer to",
        "dependency inner-",
        "in dependency other-hash-",
    ]);
    assert!(!ended.stderr.contains("  | line 20\n"), "{}", ended.stderr);
    assert_eq!(
        text(&harness.log("good-")),
        "[buildPhase]\none\ntwo\n[installPhase]\n"
    );
    assert_eq!(text(&harness.log("broken-")).lines().count(), 51);

    // What is there has a link that the garbage collector respects; the rest has none.
    let links = harness.root().join("target/test-build/authentik");
    let link = links.join("good").read_link_utf8().unwrap();
    assert_eq!(good["out"], link.as_str());
    assert!(links.join("good.tests.passes").is_symlink());
    assert!(!links.join("broken").is_symlink());
}

#[test]
fn nothing_to_do() {
    let harness = Harness::new(r#"good = sh "good" { } "echo > $out";"#);
    assert_eq!(harness.test_build(&["good"]).code, Some(0));
    let link = harness.root().join("target/test-build/authentik/good");
    fs_err::remove_file(&link).unwrap();
    let ended = harness.test_build(&["good", "good", "--json"]);
    assert_eq!((ended.code, ended.state("good")), (Some(0), "cached"));
    assert_eq!(ended.rows.len(), 1);
    assert_eq!(ended.row("good")["seconds"], 0.0);
    assert!(link.is_symlink());
}

#[test]
fn a_failure_ends_the_run_without_keep_going() {
    let harness = Harness::new(
        r#"
  bad = sh "bad" { } "until [ -e /nix/store/none ]; do sleep 0.3; exit 1; done";
  slow = sh "slow" { } "sleep 1000";
"#,
    );
    let ended = harness.test_build(&["bad", "slow", "--json"]);
    assert_eq!(
        (ended.code, ended.state("bad"), ended.state("slow")),
        (Some(1), "failed", "skipped")
    );
}

#[test]
fn tests_can_be_left_out() {
    let harness = Harness::new(
        r#"good = sh "good" { } "echo > $out" // { tests.bad = sh "bad" { } "exit 1"; };"#,
    );
    let ended = harness.test_build(&["good", "--no-tests", "--json"]);
    assert_eq!(
        (ended.code, ended.rows.len()),
        (Some(0), 1),
        "{}",
        ended.stderr
    );
    let ended = harness.test_build(&["good", "--json"]);
    assert_eq!((ended.code, ended.state("good")), (Some(1), "cached"));
    assert_eq!(ended.state("good.tests.bad"), "failed");
}

#[test]
fn what_a_builder_prints_is_only_text() {
    let harness = Harness::new(
        r#"
  good = sh "good" { } ''
    drv=/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-x.drv
    echo "@nix { \"action\": \"msg\", \"level\": 0, \"msg\": \"builder for '$drv' failed\", \"raw_msg\": \"builder for '$drv' failed\" }"
    echo "glued @nix { \"action\": \"stop\", \"id\": 1 }"
    echo "@nix {\"action\":\"brandnew\"}"
    echo "@nix not even JSON"
    echo "error: hash mismatch in fixed-output derivation '$drv':"
    echo "         specified: sha256-x"
    echo "            got:    sha256-y"
    echo "error: builder for '$drv' failed with exit code 1"
    echo > $out
  '';
"#,
    );
    let ended = harness.test_build(&["good", "--json"]);
    assert_eq!(
        (ended.code, ended.state("good")),
        (Some(0), "built"),
        "{}",
        ended.stderr
    );
    ended.says(&["good> error: hash mismatch", "good> glued @nix {"]);
    assert!(!ended.stderr.contains("derivation: "), "{}", ended.stderr);
}

#[test]
fn logs_of_any_bytes_and_length() {
    let harness = Harness::new(
        r#"
  good = sh "good" { } ''
    printf 'bytes \377\376 end\n'
    printf '\033[31mred\033[0m\n\n'
    head -c 3000000 /dev/zero | tr '\0' x
    printf '\nlast without a line end'
    echo > $out
  '';
"#,
    );
    let ended = harness.test_build(&["good"]);
    assert_eq!(ended.code, Some(0));
    ended.says(&["good> bytes \u{fffd}\u{fffd} end\n", "good> red\n"]);
    let log = text(&harness.log("good-"));
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0], "bytes \u{fffd}\u{fffd} end");
    assert_eq!(lines.iter().map(|line| line.len()).max(), Some(3_000_000));
    assert_eq!(lines.last(), Some(&"last without a line end"));
}

/// A component that runs until it is ended, and a word that its processes have on their command line.
fn endless() -> (Harness, String) {
    let word = format!("{}", 100_000_000 + std::process::id() * 1000 + rand());
    let harness = Harness::new(&format!(
        r#"slow = sh "slow" {{ }} (phase "buildPhase" + "trap \"\" TERM INT HUP; sleep {word}; sleep {word}");"#
    ));
    (harness, word)
}

/// A number below 1000 that differs between the tests of a process.
fn rand() -> u32 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// The program, once the builder of [`endless`] sleeps.
fn started(harness: &Harness, word: &str) -> Child {
    let mut command = harness.command(&["slow", "--json"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let sleep = format!("sleep\0{word}");
    wait_until("the builder sleeps", || !processes_with(&sleep).is_empty());
    child
}

fn send(process: u32, signal: Signal) {
    let process = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    kill_process(process, signal).unwrap();
}

fn ended(mut child: Child) -> Ended {
    wait_until("the program ends", || child.try_wait().unwrap().is_some());
    let output = child.wait_with_output().unwrap();
    let stdout = text(&output.stdout);
    Ended {
        code: output.status.code(),
        rows: stdout
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect(),
        stdout,
        stderr: text(&output.stderr),
    }
}

#[test]
fn signals_end_the_build_and_its_builders() {
    for (signal, name, code) in [
        (Signal::INT, "SIGINT", 130),
        (Signal::TERM, "SIGTERM", 143),
        (Signal::HUP, "SIGHUP", 129),
    ] {
        let (harness, word) = endless();
        let child = started(&harness, &word);
        send(child.id(), signal);
        let ended = ended(child);
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        ended.says(&[&format!(
            "interrupted by {name} while building slow (buildPhase)"
        )]);
        assert_eq!(ended.state("slow"), "skipped");
        wait_until("no builder is left", || processes_with(&word).is_empty());
    }
}

#[test]
fn a_second_ctrl_c_kills_what_does_not_end() {
    let (harness, word) = endless();
    let child = started(&harness, &word);
    // A nix-build that is stopped does not end on SIGINT.
    let drvs = processes_with("--log-format\0internal-json");
    let ours = drvs.iter().find(|process| {
        let status = fs_err::read_to_string(process.join("status")).unwrap_or_default();
        status.contains(&format!("PPid:\t{}\n", child.id()))
    });
    let nix_build: u32 = ours.unwrap().file_name().unwrap().parse().unwrap();
    send(nix_build, Signal::STOP);
    send(child.id(), Signal::INT);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!processes_with(&word).is_empty());
    send(child.id(), Signal::INT);
    let ended = ended(child);
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    wait_until("no builder is left", || processes_with(&word).is_empty());
}

#[test]
fn junit_beside_the_table() {
    let harness = Harness::new(
        r#"
  good = sh "good" { } "echo > $out" // { tests.bad = sh "bad" { } (phase "checkPhase" + "echo '1 < 2'; exit 3"); };
"#,
    );
    let ended = harness.test_build(&["good", "--keep-going", "--junit", "report.xml"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let report = harness.root().join("report.xml");
    // A parser that is not ours.
    let script = "import sys, xml.etree.ElementTree as tree
suite = tree.parse(sys.argv[1]).getroot().find('testsuite')
print(suite.get('tests'), suite.get('failures'), suite.get('skipped'))
for case in suite:
    print(case.get('classname'), case.get('name'), [(it.tag, it.get('message'), '1 < 2' in it.text) for it in case])
";
    let python = std::process::Command::new("python3")
        .args(["-c", script, report.as_str()])
        .output()
        .unwrap();
    assert_eq!(
        text(&python.stdout),
        "2 1 0\ngood build []\ngood bad [('failure', 'failed with exit code 3', True)]\n",
        "{}",
        text(&python.stderr)
    );
    let ended = harness.test_build(&["good", "--junit", "none/report.xml"]);
    assert_eq!(ended.code, Some(2));
    ended.says(&["`--junit none/report.xml`: `none` is not a folder"]);
}

#[test]
fn slower_than_usual() {
    let harness = Harness::new(
        r#"slow = sh "slow" { wait = builtins.readFile ./wait; } (phase "buildPhase" + "sleep $wait; echo > $out");"#,
    );
    for wait in ["0.1", "0.2", "0.3"] {
        harness.write("containers/authentik/wait", wait);
        let ended = harness.test_build(&["slow"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(!ended.stderr.contains("slower"), "{}", ended.stderr);
    }
    harness.write("containers/authentik/wait", "3");
    let ended = harness.test_build(&["slow"]);
    ended.says(&[
        "slow was slower than usual by 2.",
        " of it in buildPhase (usually 0.",
        "of 3 runs)",
    ]);
}
