//! Another machine that means no good: nothing here is changed, nothing hangs, and memory has its limits.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process};

use test_support::common::{root, rounds, run, text, wait_until};
use test_support::far::Far;
use test_support::harness::{Harness, programs};
use test_support::spy::Spy;

/// The other end of the stand-in for ssh.
const HOSTILE: &str = include_str!("hostile.py");
/// The most memory that a run may take, in KiB.
const MEMORY: u64 = 256 << 10;

/// A repository, and what lies beside it that nobody may touch.
struct Place {
    harness: Harness,
    victim: Utf8PathBuf,
}

impl Place {
    fn new() -> Self {
        let harness = Harness::new(
            r#"
  good = sh "good" { } "echo > $out";
  stale = fixed "stale" (hashOf "one") "echo one > $out";
  pinned = [ (stale // { pin = { file = pinsFile; key = [ "sources" "one" "hash" ]; }; }) ];
"#,
        );
        let pin = r#"{ "places": [ { "npm": "x", "version": "1" } ], "hash": "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" }"#;
        harness.write(
            "containers/authentik/pins.json",
            &format!(r#"{{ "version": "1", "sources": {{ "one": {pin} }} }}"#),
        );
        for file in ["file", ".ssh/authorized_keys"] {
            harness.write(&format!("victim/{file}"), "precious\n");
        }
        let hash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        harness.write(
            "victim/package-lock.json",
            &format!(r#"{{ "hash": "{hash}" }}"#),
        );
        fs_err::create_dir(harness.root().join("tmp")).unwrap();
        let victim = harness.root().join("victim");
        Self { harness, victim }
    }

    /// A stand-in for ssh at the front of PATH; `without_nix` leaves no Nix here.
    fn ssh(&self, name: &str, script: &str, without_nix: bool) -> Utf8PathBuf {
        let folder = self.harness.root().join(name);
        let links: &[&str] = if without_nix {
            &["tar", "gzip", "chmod", "rm", "sh", "python3", "id", "git"]
        } else {
            &[]
        };
        programs(&folder, &[("ssh", script)], links);
        folder
    }

    fn command(&self, path: &str, arguments: &[&str]) -> Command {
        let mut command = self.harness.command(arguments);
        command
            .args(["--on", "elsewhere"])
            .env("PATH", path)
            .env("VICTIM", &self.victim)
            .env("TMPDIR", self.harness.root().join("tmp"));
        command
    }

    /// All that is there but for what runs write for themselves, here and on the far side.
    fn snapshot(&self) -> BTreeMap<Utf8PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.harness.root()];
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir_utf8().unwrap() {
                let path = entry.unwrap().into_path();
                // the far side may still be removing its own folder
                if ["target", "far"]
                    .map(|it| self.harness.root().join(it))
                    .contains(&path)
                {
                    continue;
                }
                if path.is_symlink() {
                    let target = path.read_link_utf8().unwrap();
                    found.insert(path, target.into_string().into_bytes());
                } else if path.is_dir() {
                    found.insert(path.clone(), Vec::new());
                    folders.push(path);
                } else {
                    let bytes = fs_err::read(&path).unwrap();
                    found.insert(path, bytes);
                }
            }
        }
        found
    }
}

/// A far side that is this machine with another Nix, whose evaluations are rewritten by a sed script.
fn rewritten(place: &Place, sed: &str) -> String {
    let far = place.harness.root().join("far");
    let instantiate = format!(
        "PATH=${{PATH#*:}} nix-instantiate \"$@\" >\"$TMPDIR/answer\" || exit; sed '{sed}' \"$TMPDIR/answer\""
    );
    programs(&far, &[("nix-instantiate", &instantiate)], &[]);
    format!(
        "for word do last=$word; done\nHOME={far} PATH={far}:$PATH TMPDIR={far} exec sh -c \"$last\""
    )
}

#[test]
fn names_from_there_lead_nowhere_here() {
    for without_nix in [true, false] {
        let place = Place::new();
        let key = place.victim.join(".ssh/authorized_keys");
        let name = key.as_str().replace('/', "\\/");
        let real = std::env::var("PATH").unwrap();
        // The far side has Nix in any case.
        let script = format!(
            "PATH={real}; export PATH\n{}",
            rewritten(
                &place,
                &format!("s/\"name\":\"good\"/\"name\":\"{name}\"/; s/\"names\":\\[/&\"{name}\",/")
            )
        );
        let folder = place.ssh("near", &script, without_nix);
        let path = if without_nix {
            folder.into_string()
        } else {
            format!("{folder}:{real}")
        };
        let before = place.snapshot();
        let output = run(&mut place.command(&path, &["good", "--fetch"]));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("names are made of letters, digits and `_.+-`"),
            "{said}"
        );
        assert_eq!(before, place.snapshot());
    }
}

#[test]
fn only_pins_of_this_run_are_written() {
    let place = Place::new();
    let real = std::env::var("PATH").unwrap();
    let other = place.victim.join("package-lock.json");
    let shown = other.as_str().replace('/', "\\/");
    let script = rewritten(
        &place,
        &format!(
            "s/\"file\":\"[^\"]*\"/\"file\":\"{shown}\"/; s/\\[\"sources\",\"one\",\"hash\"\\]/[\"hash\"]/"
        ),
    );
    let folder = place.ssh("near", &script, false);
    let before = fs_err::read(&other).unwrap();
    let path = format!("{folder}:{real}");
    let output = run(&mut place.command(&path, &["stale", "--write-pins"]));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no pin has this hash"), "{said}");
    assert_eq!(fs_err::read(&other).unwrap(), before);
    // The same without the lie writes the container's own pin.
    let honest = place.ssh("honest", &rewritten(&place, ""), false);
    let path = format!("{honest}:{real}");
    let output = run(&mut place.command(&path, &["stale", "--write-pins"]));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn whatever_it_says() {
    let place = Place::new();
    let real = std::env::var("PATH").unwrap();
    place.harness.write("hostile.py", HOSTILE);
    let script = format!("exec python3 {}/hostile.py", place.harness.root());
    let folder = place.ssh("near", &script, false);
    let path = format!("{folder}:{real}");
    let commands: [&[&str]; 4] = [
        &["good", "--fetch"],
        &["stale", "--write-pins"],
        &["--list"],
        &["--gc"],
    ];
    let before = place.snapshot();
    let seed = std::process::id() % 1000 * 10;
    for n in 0..rounds(20, 250) {
        let seed = seed + n;
        let arguments = commands[usize::try_from(n / 10 + n).unwrap() % commands.len()];
        let mut child = place
            .command(&path, arguments)
            .env("HOSTILE", seed.to_string())
            .env("XTASK_REMOTE_PATIENCE", "2")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // What it says is read, so that nothing waits for that.
        let streams = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let reading = [
            std::thread::spawn(move || read(streams.0)),
            std::thread::spawn(move || read(streams.1)),
        ];
        let id = child.id();
        let (start, mut highest, mut asked) = (Instant::now(), 0, None);
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            highest = highest.max(memory_of(id));
            if asked.is_none() && start.elapsed() > Duration::from_secs(2) {
                // Ctrl-C ends it, whatever the other side does.
                kill_process(
                    Pid::from_raw(i32::try_from(id).unwrap()).unwrap(),
                    Signal::INT,
                )
                .unwrap();
                asked = Some(Instant::now());
            }
            assert!(
                asked.is_none_or(|at: Instant| at.elapsed() < Duration::from_secs(40)),
                "{seed} {arguments:?}: it hangs"
            );
            std::thread::sleep(Duration::from_millis(20));
        };
        let said: Vec<Vec<u8>> = reading.map(|it| it.join().unwrap()).into();
        assert!(highest < MEMORY, "{seed} {arguments:?}: {highest} KiB");
        assert!(
            matches!(status.code(), Some(0..=2 | 130)),
            "{seed} {arguments:?}: {status}\n{}",
            text(&said[1])
        );
        for stream in &said {
            let shown = text(stream);
            assert!(!acts(&shown), "{seed} {arguments:?}: {shown:?}");
        }
    }
    assert_eq!(before, place.snapshot());
    assert!(!Utf8Path::new("/tmp/xtask-on.x").exists());
}

/// Whether a terminal or a CI system would obey a part of this text.
fn acts(shown: &str) -> bool {
    shown.chars().any(|c| {
        c.is_control() && !matches!(c, '\n' | '\t') || ('\u{202a}'..='\u{202e}').contains(&c)
    }) || shown.lines().any(|line| line.trim().starts_with("::"))
}

/// What ssh prints, and what the other machine calls its components, is shown and not obeyed.
#[test]
fn its_words_are_text() {
    let place = Place::new();
    let real = std::env::var("PATH").unwrap();
    let version =
        r#"s/"version":"[^"]*"/"version":"1\\u001b]52;c;eA==\\u0007\\u202e\\n::error ::x"/"#;
    for (name, script, code, part) in [
        (
            "greets",
            r"printf '\033]52;c;eA==\007\302\2332J\n::error ::x\n' >&2; exit 255",
            2,
            r"\x1b]52;c;eA==\x07\u{9b}2J",
        ),
        (
            "lists",
            &rewritten(&place, version),
            0,
            r"1\x1b]52;c;eA==\x07\u{202e}\x0a::error ::x",
        ),
    ] {
        let folder = place.ssh(name, script, false);
        let path = format!("{folder}:{real}");
        let output = run(&mut place.command(&path, &["--list"]));
        let shown = text(&[output.stdout, output.stderr].concat());
        assert_eq!(output.status.code(), Some(code), "{name}: {shown}");
        assert!(shown.contains(part), "{name}: {shown}");
        assert!(!acts(&shown), "{name}: {shown:?}");
    }
}

/// How a run ends that does not hang.
fn end_of(mut child: std::process::Child) -> (Option<i32>, String) {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("it hangs\n{}", text(&output.stderr));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    (output.status.code(), text(&output.stderr))
}

#[test]
fn one_that_never_greets_is_not_waited_for() {
    let place = Place::new();
    let real = std::env::var("PATH").unwrap();
    let folder = place.ssh("silent", "exec sleep 1000", false);
    let mut command = place.command(&format!("{folder}:{real}"), &["--list"]);
    command.env("XTASK_REMOTE_PATIENCE", "1");
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let (code, said) = end_of(child);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("says nothing for 4 seconds"), "{said}");
}

/// What is sent is more than the pipe to ssh holds, and the other side takes none of it.
#[test]
fn an_upload_that_is_not_taken_ends_by_a_signal() {
    let place = Place::new();
    let real = std::env::var("PATH").unwrap();
    place.harness.write("hostile.py", HOSTILE);
    let big = place.harness.root().join("containers/authentik/big");
    let random = std::io::Read::take(fs_err::File::open("/dev/urandom").unwrap(), 4 << 20);
    std::io::copy(
        &mut { random },
        &mut fs_err::File::create(big).unwrap().into_file(),
    )
    .unwrap();
    let script = format!("exec python3 {}/hostile.py", place.harness.root());
    let folder = place.ssh("takes-nothing", &script, false);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut command = place.command(&format!("{folder}:{real}"), &["--list"]);
        // It greets, and takes nothing of what is sent.
        command.env("HOSTILE", "4");
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_secs(2));
        let process = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(process, signal).unwrap();
        let (ended, said) = end_of(child);
        assert_eq!(ended, Some(code), "{said}");
    }
}

/// The other side hears nothing more, so that what is sent to it fails, and says without end that it lives.
#[test]
fn who_hears_nothing_and_talks_on_is_not_listened_to_for_ever() {
    let place = Place::new();
    let real = std::env::var("PATH").unwrap();
    place.harness.write("hostile.py", HOSTILE);
    let script = format!("exec python3 {}/hostile.py", place.harness.root());
    let folder = place.ssh("deaf", &script, false);
    let mut command = place.command(&format!("{folder}:{real}"), &["--list"]);
    command
        .env("HOSTILE", "14")
        .env("XTASK_REMOTE_PATIENCE", "1");
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let (code, said) = end_of(child);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("the connection to `elsewhere` was lost"),
        "{said}"
    );
}

fn read(mut stream: impl std::io::Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// The most memory that a process had so far, in KiB.
fn memory_of(process: u32) -> u64 {
    let status = fs_err::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    number.unwrap_or(0)
}

/// What lies on the other machine while a build runs there is its user's alone, but for the way to the build.
#[test]
fn nobody_else_reads_what_lies_there() {
    let Some(far) = Far::start() else {
        return;
    };
    let harness = Harness::new(r#"slow = sh "slow" { } (phase "buildPhase" + "sleep 1000");"#);
    let mut child = far
        .command(&harness, "basher", &["slow"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("[buildPhase]") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut said, &mut line).unwrap() > 0);
    }
    // Folders that others may pass through are not listed; what is in them, the builder's own folder aside, is
    // closed.
    let open = Command::new("find")
        .arg(far.path().join("far"))
        .args([
            "-mindepth",
            "1",
            "(",
            "-path",
            "*/tmp/nix-build-*",
            "-prune",
            ")",
        ])
        .args(["-o", "-not", "-type", "l", "-perm", "/o=rw", "-print"])
        .output()
        .unwrap();
    let open = text(&open.stdout);
    let reachable: Vec<&str> = open
        .lines()
        .filter(|path| {
            let above = Utf8Path::new(path).ancestors().skip(1);
            above
                .take_while(|it| {
                    it.starts_with(far.path().join("far/")) && *it != far.path().join("far")
                })
                .all(|folder| {
                    use std::os::unix::fs::PermissionsExt as _;
                    fs_err::metadata(folder).unwrap().permissions().mode() & 0o001 != 0
                })
        })
        .collect();
    assert_eq!(reachable, [""; 0]);
    let process = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(process, Signal::INT).unwrap();
    child.wait().unwrap();
}

/// The logins of the user there reach the build that names its client, and nobody else, killed or not.
#[test]
fn logins_there_are_seen_by_their_client_alone() {
    let Some(far) = Far::start() else {
        return;
    };
    let harness = Harness::new(
        r#"
  look = "env | grep -o \"^FETCH_[A-Z_]*\"; grep -rs 'hush-77c[e]' /host/clients /proc/self/mountinfo /dev/shm && echo found; sleep 1.5; exit 1";
  npm = sh "npm" { outputHashMode = "recursive"; outputHashAlgo = "sha256"; outputHash = wrong;
    impureEnvVars = [ "FETCH_NPMRC" ]; } look;
  pip = sh "pip" { outputHashMode = "recursive"; outputHashAlgo = "sha256"; outputHash = wrong;
    impureEnvVars = [ "FETCH_PIP_CONF" ]; } look;
  ordinary = sh "ordinary" { impureEnvVars = [ "FETCH_NPMRC" ]; } look;
"#,
    );
    let home = far.path().join("home");
    let open = far.path().join("open");
    fs_err::create_dir(&open).unwrap();
    fs_err::create_dir_all(home.join(".config/pip")).unwrap();
    fs_err::write(home.join(".npmrc"), "//r.example/:_authToken=hush-77ce\n").unwrap();
    let pip = "[global]\nindex-url = https://u:hush-77ce@i.example/simple\n";
    fs_err::write(home.join(".config/pip/pip.conf"), pip).unwrap();
    for (mode, path) in [
        ("700", &home),
        ("777", &open),
        ("755", &far.path().join("far")),
    ] {
        assert!(
            Command::new("chmod")
                .arg(mode)
                .arg(path)
                .status()
                .unwrap()
                .success()
        );
    }
    let spy = Spy::start(&open, "hush-77c[e]");
    let command = || {
        let mut command = far.command(&harness, "dasher", &["npm", "pip", "ordinary"]);
        command.args(["--keep-going", "--max-jobs", "3", "-v"]);
        command
    };
    let output = run(&mut command());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("hush-77ce"), "{said}");
    for (component, seen) in [
        ("npm", "FETCH_NPMRC\n"),
        ("pip", "FETCH_PIP_CONF\n"),
        ("ordinary", ""),
    ] {
        assert_eq!(text(&harness.log(&format!("{component}-"))), seen, "{said}");
    }
    let mut child = command()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("it builds again", || far.processes().len() > 3);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("it ends", || far.processes().is_empty());
    assert_eq!(spy.found(), "");
    let left = run(Command::new("grep")
        .args(["-lrs", "hush-77c[e]"])
        .arg(far.path().join("far")));
    assert_eq!(text(&left.stdout), "");
    assert_eq!(
        text(
            &run(Command::new("grep")
                .args(["-lrs", "hush-77c[e]"])
                .arg(harness.root()))
            .stdout
        ),
        ""
    );
}

/// A name that says nothing kills nothing: each process would have it.
#[test]
fn nameless_runs_kill_nothing() {
    let common = fs_err::read_to_string(root().join("xtask/src/remote/watchdog.sh")).unwrap();
    for name in ["", "x", "xtask-on.", "tmp"] {
        let mut shell = Command::new("unshare");
        // Were it to kill, then nothing but what is in here.
        shell.args([
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-c",
        ]);
        let output = run(shell
            .arg(format!(
                "sleep 1000 & {common}\nkill_all_of \"$1\"; echo $?; kill $!; echo alive"
            ))
            .args(["sh", name]));
        let said = text(&output.stdout);
        assert!(
            said.contains("1\nalive"),
            "{name}: {said}{}",
            text(&output.stderr)
        );
    }
}
