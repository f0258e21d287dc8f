//! What can go wrong around a build: machines, disks, other people's processes.

use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use test_support::common::{rounds, text, wait_until};
use test_support::harness::{Harness, NO_NAMESPACES, in_mounts, processes_with};
use test_support::terminal::Terminal;

/// A word that no other process has on its command line.
fn word() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}", 200_000_000 + std::process::id() * 1000 + next)
}

fn sleeping(word: &str) -> bool {
    !processes_with(&format!("sleep\0{word}")).is_empty()
}

#[test]
fn nix_build_killed_from_outside() {
    let word = word();
    let harness = Harness::new(&format!(r#"slow = sh "slow" {{ }} "sleep {word}";"#));
    let temporary = harness.root().join("tmp");
    fs_err::create_dir(&temporary).unwrap();
    let mut command = harness.command(&["slow", "--json"]);
    let child = command
        .env("TMPDIR", &temporary)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the builder sleeps", || sleeping(&word));
    let ours = |process: &camino::Utf8PathBuf| {
        let status = fs_err::read_to_string(process.join("status")).unwrap_or_default();
        status.contains(&format!("PPid:\t{}\n", child.id()))
    };
    let nix_builds = processes_with("--log-format\0internal-json");
    let nix_build = nix_builds.iter().find(|process| ours(process)).unwrap();
    let nix_build = nix_build.file_name().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(nix_build).unwrap(), Signal::KILL).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("something killed nix-build (signal: 9"),
        "{said}"
    );
    let row: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(row["state"], "skipped");
    wait_until("no builder is left", || !sleeping(&word));
    let left: Vec<_> = fs_err::read_dir(&temporary).unwrap().collect();
    // Other than the clients' settings, which the next run uses.
    let left: Vec<String> = left
        .into_iter()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("xtask-clients-"))
        .collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn two_runs_at_once_end_well() {
    let harness = Harness::new(r#"good = sh "good" { } "sleep 2; echo > $out";"#);
    let start = || {
        let mut command = harness.command(&["good", "--json"]);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    for child in [start(), start()] {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let row: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(row["out"].is_string(), "{row}");
    }
    assert!(
        harness
            .root()
            .join("target/test-build/authentik/good")
            .is_symlink()
    );
}

#[test]
fn a_folder_for_results_that_can_t_be_written() {
    let harness = Harness::new(r#"good = sh "good" { } "echo > $out";"#);
    harness.write("target", "a file");
    let ended = harness.test_build(&["good"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    ended.says(&["the folder for results can't be written to", "target"]);
}

#[test]
fn a_full_disk() {
    let harness = Harness::new(
        r#"big = sh "big" { } "head -c 200000000 /dev/zero > $out"; small = sh "small" { } "echo > $out";"#,
    );
    // A store of its own, in a mount namespace of its own. Nix kills all processes of a user before it
    // builds as that user: the locks on users stay this machine's, lest other tests' builders are killed.
    let script = "mount -t tmpfs -o size=64m none $D; mkdir -p $D/state/userpool /nix/var/nix/userpool; \
         mount --bind /nix/var/nix/userpool $D/state/userpool; \
         export NIX_STORE_DIR=$D/store NIX_STATE_DIR=$D/state NIX_LOG_DIR=$D/log; exec \"$@\"";
    let Some(output) = in_mounts(script, &harness.command(&["big", "--json"])) else {
        return;
    };
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    let row: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(row["state"], "failed", "{said}");
}

#[test]
fn a_machine_that_can_not_isolate_builders() {
    let harness = Harness::new(r#"good = sh "good" { } "echo > $out";"#);
    let Some(output) = in_mounts(NO_NAMESPACES, &harness.command(&["good", "--json"])) else {
        return;
    };
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("`--privileged`"), "{said}");
    let row: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(row["state"], "skipped", "{said}");
}

#[test]
fn the_terminal_goes_away() {
    let word = word();
    let harness = Harness::new(&format!(r#"slow = sh "slow" {{ }} "sleep {word}";"#));
    let terminal = Terminal::start(&harness.command(&["slow"]), 24, 80);
    wait_until("the builder sleeps", || sleeping(&word));
    terminal.hang_up();
    wait_until("no builder is left", || !sleeping(&word));
}

/// `nohup` means what it says, and a reader that has enough is no error.
#[test]
fn hangups_that_are_ignored_and_readers_that_go() {
    let harness =
        Harness::new(r#"slow = sh "slow" { } (phase "buildPhase" + "sleep 2; echo > $out");"#);
    let command = harness.command(&["slow", "--json"]);
    let mut nohup = Command::new("sh");
    nohup
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(harness.root())
        .env_remove("CARGO_MANIFEST_DIR");
    let said = harness.root().join("said");
    let file = fs_err::File::create(&said).unwrap().into_file();
    let mut child = nohup.stdout(Stdio::piped()).stderr(file).spawn().unwrap();
    wait_until("it builds", || {
        fs_err::read_to_string(&said)
            .unwrap()
            .contains("[buildPhase]")
    });
    let process = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(process, Signal::HUP).unwrap();
    // Nobody reads the results.
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(141));
    let said = fs_err::read_to_string(&said).unwrap();
    assert!(said.contains("  built  "), "{said}");
    assert!(!said.contains("error"), "{said}");
}

#[test]
fn a_clock_that_went_backwards() {
    let harness = Harness::new(r#"good = sh "good" { } "echo > $out";"#);
    assert_eq!(harness.test_build(&["good"]).code, Some(0));
    // All that was written is from next year.
    let touched = Command::new("find")
        .args([
            "target",
            "-exec",
            "touch",
            "-h",
            "-d",
            "next year",
            "{}",
            "+",
        ])
        .current_dir(harness.root())
        .status();
    assert!(touched.unwrap().success());
    fs_err::remove_file(harness.root().join("target/test-build/authentik/good")).unwrap();
    let ended = harness.test_build(&["good", "--json"]);
    assert_eq!(
        (ended.code, ended.state("good")),
        (Some(0), "cached"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_line_of_50_mb() {
    let harness = Harness::new(
        r#"long = sh "long" { } "head -c 50000000 /dev/zero | tr '\\0' x; echo; echo next; echo > $out";"#,
    );
    let ended = harness.test_build(&["long"]);
    let end = ended.stderr.len().saturating_sub(2000);
    let said = String::from_utf8_lossy(&ended.stderr.as_bytes()[end..]);
    assert_eq!(ended.code, Some(0), "{said}");
    assert!(ended.stderr.len() < 100_000);
    ended.says(&["long> next\n"]);
    let log = harness.log("long-");
    assert_eq!(log.len(), 50_000_000 + "\nnext\n".len());
}

#[test]
fn a_log_of_200_mb() {
    let harness = Harness::new(
        r#"big = sh "big" { } "yes $(printf %0399d 7) | head -n 500000; echo > $out";"#,
    );
    let mut child = harness
        .command(&["big", "-q"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut highest = 0;
    let code = loop {
        if let Some(code) = child.try_wait().unwrap() {
            break code;
        }
        // In KiB; a process that ended has no memory.
        let memory = fs_err::read_to_string(&status).unwrap_or_default();
        let memory = memory.lines().find_map(|line| {
            let kib = line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?;
            kib.parse::<u64>().ok()
        });
        highest = highest.max(memory.unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert!(code.success());
    assert_eq!(harness.log("big-").len(), 200_000_000);
    assert!(highest > 0 && highest < 100 << 10, "{highest} KiB");
}

#[test]
fn interrupts_at_random_moments() {
    const COMPONENTS: &str = r#"
  a = sh "a" { } (phase "buildPhase" + "for n in {1..20}; do echo $n; sleep 0.05; done; echo > $out");
  b = sh "b" { inherit a; } (phase "buildPhase" + "sleep 0.2; echo > $out");
"#;
    let harness = Harness::new(COMPONENTS);
    let temporary = harness.root().join("tmp");
    fs_err::create_dir(&temporary).unwrap();
    // Told when it fails, so that it can be repeated.
    let seed = std::process::id() % 1009;
    let (rounds, mut hit) = (rounds(6, 50), 0);
    for n in 0..rounds {
        // Under new names: nothing is built yet.
        harness.container("authentik", COMPONENTS);
        let millis = u64::from((seed + n * 7919) % 1009);
        let said = temporary.join("said");
        let mut child = harness
            .command(&["b", "--json"])
            .env("TMPDIR", &temporary)
            .stdout(Stdio::piped())
            .stderr(fs_err::File::create(&said).unwrap().into_file())
            .spawn()
            .unwrap();
        // Every third at any moment, the others while something is built.
        let heard = || fs_err::read_to_string(&said).unwrap();
        if n % 3 > 0 {
            wait_until("it builds", || {
                heard().contains("[buildPhase]") || child.try_wait().unwrap().is_some()
            });
        }
        std::thread::sleep(std::time::Duration::from_millis(millis * 2 / 3));
        let process = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        // It may have ended by itself.
        let _ = kill_process(process, Signal::INT);
        let output = child.wait_with_output().unwrap();
        hit += u32::from(heard().contains("interrupted by SIGINT while building"));
        let code = output.status.code();
        let fine = code == Some(130) || code == Some(0) || {
            // Before it took signals over.
            use std::os::unix::process::ExitStatusExt as _;
            output.status.signal() == Some(2)
        };
        assert!(fine, "{seed} {n} {millis}: {code:?}\n{}", heard());
        for line in text(&output.stdout).lines() {
            assert!(
                serde_json::from_str::<serde_json::Value>(line).is_ok(),
                "{line}"
            );
        }
        fs_err::remove_file(&said).unwrap();
    }
    assert!(2 * hit >= rounds, "{hit} of {rounds} hit a build, {seed}");
    let root = harness.root();
    wait_until("no process is left", || {
        processes_with(root.as_str()).is_empty()
    });
    let left: Vec<String> = fs_err::read_dir(&temporary)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("xtask-clients-"))
        .collect();
    assert_eq!(left, [""; 0], "{seed}");
    let half_written = Command::new("find")
        .arg(root.join("target"))
        .args(["-name", ".*.*"])
        .output();
    assert_eq!(text(&half_written.unwrap().stdout), "");
    let ended = harness.test_build(&["b", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

/// Files of trees and pins that others made: nothing waits for a FIFO, fills the memory or follows a link out.
#[test]
fn files_that_are_none() {
    let harness = Harness::new(r#"good = sh "good" { } "echo > $out";"#);
    let root = harness.root();
    let tree = root.join("tree");
    fs_err::create_dir_all(tree.join("scripts/api/ts-templates")).unwrap();
    harness.write("tree/schema.yml", "");
    harness.write("outside.json", r#"{ "version": "6.6.6" }"#);
    let (manifest, pins) = (tree.join("package.json"), root.join("pins-of-others.json"));
    let make = |path: &camino::Utf8Path, script: &str| {
        let _ = fs_err::remove_file(path);
        let mut sh = Command::new("sh");
        sh.args(["-ec", script, "sh", path.as_str()]);
        sh.env("OUT", root.join("outside.json"));
        assert!(sh.status().unwrap().success());
    };
    for (script, said) in [
        ("mkfifo $1", "it is not a regular file"),
        ("ln -s /dev/zero $1", "package.json"),
        ("ln -s $OUT $1", "package.json"),
        ("truncate -s 1T $1", "bytes"),
    ] {
        make(&manifest, script);
        let ended = harness.test_build(&["--list", "--source", tree.as_str()]);
        assert_eq!(ended.code, Some(2), "{script}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{script}: {}", ended.stderr);
        assert!(!ended.stdout.contains("6.6.6"), "{script}");
    }
    for script in ["mkfifo $1", "ln -s /dev/zero $1", "truncate -s 1T $1"] {
        make(&pins, script);
        let ended = harness.test_build(&["--list", "--pins", pins.as_str()]);
        assert_eq!(ended.code, Some(2), "{script}: {}", ended.stderr);
        ended.says(&["reading the pins"]);
    }
}

/// What components, builders and trees say is shown: no terminal obeys it, and no CI system.
#[test]
fn words_of_others_are_text() {
    let harness = Harness::new(
        r#"
  odd = builtins.fromJSON "\"1\\u001b]52;c;eA==\\u0007\\u202e\\n::error ::x\"";
  bad = sh "bad" { } "printf '\\033]52;c;eA==\\007\\302\\2332J\\342\\200\\256\\n::error ::x\\n'; exit 1"
    // { version = odd; meta.description = odd; };
"#,
    );
    let tree = harness.root().join("tree");
    fs_err::create_dir_all(tree.join("scripts/api/ts-templates")).unwrap();
    harness.write("tree/schema.yml", "");
    let manifest = r#"{ "version": "1\u001b]52;c;eA==\u0007\u202e\n::error ::x" }"#;
    harness.write("tree/package.json", manifest);
    for (arguments, code, part) in [
        (
            &["--list"][..],
            0,
            r"1\x1b]52;c;eA==\x07\u{202e}\x0a::error",
        ),
        (&["bad"], 1, "bad> 2J\n"),
        (
            &["--list", "--source", tree.as_str()],
            2,
            r"malformed version `1\x1b]52;c;eA==\x07\u{202e}\n::error",
        ),
    ] {
        let ended = harness.test_build(arguments);
        let shown = ended.stdout + &ended.stderr;
        assert_eq!(ended.code, Some(code), "{shown}");
        assert!(shown.contains(part), "{shown}");
        let acts = |c: char| c.is_control() && !matches!(c, '\n' | '\t') || c == '\u{202e}';
        assert!(!shown.contains(acts), "{shown:?}");
        let is_command = |line: &str| line.trim().starts_with("::");
        assert!(!shown.lines().any(is_command), "{shown}");
    }
}
