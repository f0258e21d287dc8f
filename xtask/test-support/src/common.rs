//! What the end-to-end tests share: the built program, this repository, and Nix as the program runs it.
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process};

/// The root of this repository.
pub fn root() -> &'static Utf8Path {
    let crate_folder = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).unwrap()
}

/// The built program, which cargo puts beside the folder of the tests' own programs.
pub fn program() -> &'static Utf8Path {
    static PROGRAM: OnceLock<Utf8PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let own = Utf8PathBuf::from_path_buf(std::env::current_exe().unwrap()).unwrap();
        let program = own.ancestors().nth(2).unwrap().join("xtask");
        assert!(program.is_file(), "{program} is not there: `cargo build`");
        program
    })
}

/// The built program, in this repository.
pub fn xtask() -> Command {
    let mut command = Command::new(program());
    command.current_dir(root()).env_remove("NO_COLOR");
    command
}

/// A program of Nix, with the settings for host-pkgs.
pub fn nix(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env(
        "NIX_USER_CONF_FILES",
        root().join("containers/host-pkgs/nix.conf"),
    );
    command
}

/// `--arg pkgs` for host-pkgs.
pub fn host_pkgs() -> [String; 3] {
    let set = format!("import {}/containers/host-pkgs {{ }}", root());
    ["--arg".to_owned(), "pkgs".to_owned(), set]
}

/// The Go that host-pkgs pins, the one that `--nix` uses: the tests need none of the machine's.
pub fn go() -> &'static str {
    static GO: OnceLock<String> = OnceLock::new();
    GO.get_or_init(|| {
        let mut build = nix("nix-build");
        build.arg(root().join("containers/host-pkgs"));
        let go = stdout(build.args(["--no-out-link", "-A", "go_1_25"]));
        format!("{}/bin/go", go.trim())
    })
}

/// PATH with that Go before all others.
pub fn path_with_go() -> String {
    let folder = Utf8Path::new(go()).parent().unwrap();
    format!("{folder}:{}", std::env::var("PATH").unwrap())
}

/// A package from `PyPI`, `NAME==VERSION`, with what it needs, in a folder of its own.
pub fn from_pypi(package: &str) -> Utf8PathBuf {
    let folder = root().join("target/e2e-pypi").join(package);
    if !folder.join("bin").is_dir() {
        stdout(
            Command::new("python3")
                .args(["-m", "pip", "install", "--quiet"])
                .args(["--target", folder.as_str(), package]),
        );
    }
    folder
}

/// Copies a program that is to be run. `cp` does it: a file that this process writes is busy in all that another
/// test starts in that moment, and what is written by somebody can't be run.
pub fn copy_program(from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) {
    stdout(Command::new("cp").arg(from).arg(to));
}

/// git in a folder, with an identity of its own and nothing of this machine's settings.
pub fn git(folder: &Utf8Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .envs([
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ])
        .args(["-c", "user.name=n", "-c", "user.email=n@example.org"])
        .args(["-c", "init.defaultBranch=main"]);
    command
}

/// How often a test tries something at random: `XTASK_STRESS=1` asks for the many rounds of a nightly run.
pub fn rounds(few: u32, many: u32) -> u32 {
    if std::env::var_os("XTASK_STRESS").is_some() {
        many
    } else {
        few
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs a command that must succeed; its stdout.
pub fn stdout(command: &mut Command) -> String {
    let output = run(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The SRI hash that the program itself prints.
pub fn hash(path: &Utf8Path, flat: bool) -> String {
    let mut command = xtask();
    command.arg("hash").arg(path);
    if flat {
        command.arg("--flat");
    }
    stdout(&mut command).trim().to_owned()
}

/// A copy of the sample, with its pins.
pub fn sample_copy(folder: &Utf8Path) -> Utf8PathBuf {
    let copy = folder.join("sample");
    stdout(
        Command::new("cp")
            .arg("-r")
            .arg(root().join("containers/authentik/sample"))
            .arg(&copy),
    );
    copy
}

/// Whether there is a program to test with.
pub fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    found || passed_over(program, program)
}

/// Says that a part of a test is passed over for want of a program; fails where CI runs, which has all.
pub fn passed_over(missing: &str, package: &str) -> bool {
    not_tested(&format!(
        "there is no {missing}: `apt-get install {package}` brings what is tested with it"
    ))
}

/// Says why a part of a test is passed over; fails where CI runs.
///
/// It is said past the test harness, which shows nothing of tests that pass, and again at the end of a run:
/// the tests of `tidy` are the last ones.
pub fn not_tested(said: &str) -> bool {
    assert!(std::env::var_os("CI").is_none(), "{said}");
    let said = format!("NOT TESTED, {said}\n");
    std::io::stderr().write_all(said.as_bytes()).unwrap();
    let mut file = fs_err::OpenOptions::new();
    let mut file = file.create(true).append(true).open(not_tested_file());
    file.as_mut().unwrap().write_all(said.as_bytes()).unwrap();
    false
}

/// What was passed over since a run's end, a line each.
fn not_tested_file() -> Utf8PathBuf {
    program().with_file_name("not-tested.txt")
}

/// Lists what was passed over since this was last called.
pub fn list_not_tested() {
    let Ok(said) = fs_err::read_to_string(not_tested_file()) else {
        return;
    };
    fs_err::remove_file(not_tested_file()).unwrap();
    std::io::stderr()
        .write_all(listed(&said).as_bytes())
        .unwrap();
}

/// Each line once, in order.
fn listed(said: &str) -> String {
    let lines: BTreeSet<&str> = said.lines().collect();
    let list: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("\nPassed over in this run:\n{list}")
}

/// Whether this is root, who alone can do what is named; where it is not, that is said, and fails in CI.
pub fn is_root_to(what: &str) -> bool {
    let is_root = stdout(Command::new("id").arg("-u")).trim() == "0";
    is_root || not_tested(&format!("only root can {what}"))
}

/// The variable by which the processes of a test are known.
const MARK: &str = "XTASK_TEST";
/// How long processes may take to end after the test that started them.
const ENDING: Duration = Duration::from_secs(20);

/// Runs a test, and fails if a process that it started is alive afterwards.
pub fn nothing_left<T>(test: impl FnOnce(&Mark) -> T) -> T {
    nothing_left_after(ENDING, test)
}

fn nothing_left_after<T>(longest: Duration, test: impl FnOnce(&Mark) -> T) -> T {
    let mark = Mark::new();
    let value = test(&mark);
    let left = mark.left_after(longest);
    assert!(left.is_empty(), "the test left processes: {left:#?}");
    value
}

/// A port on which nobody listens. It is below those that the kernel gives to whoever asks for any, so that nobody gets
/// it before it is used, or once it is free again.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Other tests that run have other numbers.
    let own = std::process::id().wrapping_mul(61);
    let mut ports = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed))
        .map(|count| 10_000 + own.wrapping_add(count) % 20_000)
        .map(|port| u16::try_from(port).unwrap());
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
    ports.find(is_free).unwrap()
}

/// Waits until a condition holds; gives up after a time that only a hang takes.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "waited in vain until {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The processes that a test started: those that have its word in their environment, and their children and
/// sessions, which may have written over it or dropped it. What is left of them is killed with this.
pub struct Mark {
    word: String,
    known: Arc<Mutex<Known>>,
    is_over: Arc<AtomicBool>,
    looking: Option<JoinHandle<()>>,
}

/// What was seen so far.
#[derive(Default)]
struct Known {
    /// Processes by number and beginning: a number may be given out again.
    processes: BTreeSet<(i32, u64)>,
    /// Sessions that a process of these began.
    sessions: BTreeSet<i32>,
}

impl Mark {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let nanoseconds = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let word = format!("{MARK}={}-{next}-{nanoseconds}", std::process::id());
        let known = Arc::<Mutex<Known>>::default();
        let is_over = Arc::<AtomicBool>::default();
        let looking = {
            let (word, known, is_over) = (word.clone(), known.clone(), is_over.clone());
            std::thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    known.lock().unwrap().look(&word);
                    std::thread::sleep(Duration::from_millis(100));
                }
            })
        };
        Self {
            word,
            known,
            is_over,
            looking: Some(looking),
        }
    }

    /// `NAME=VALUE`.
    pub fn variable(&self) -> &str {
        &self.word
    }

    /// Marks a command that is not started yet.
    pub fn put<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env(MARK, self.word.split_once('=').unwrap().1)
    }

    /// What is alive now, number and command line.
    pub fn alive(&self) -> Vec<(i32, String)> {
        self.known.lock().unwrap().look(&self.word)
    }

    /// What is alive after so long, or nothing as soon as nothing is.
    pub fn left_after(&self, longest: Duration) -> Vec<(i32, String)> {
        let start = Instant::now();
        loop {
            let alive = self.alive();
            if alive.is_empty() || start.elapsed() > longest {
                return alive;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // some may start others until they are killed
        for _ in 0..50 {
            let alive = self.alive();
            for (process, _) in &alive {
                let _ = kill_process(Pid::from_raw(*process).unwrap(), Signal::KILL);
            }
            if alive.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.looking.take().map(JoinHandle::join);
    }
}

impl Known {
    /// Takes in what there is now, and gives what of it is alive.
    fn look(&mut self, word: &str) -> Vec<(i32, String)> {
        struct Process {
            id: i32,
            parent: i32,
            session: i32,
            began: u64,
        }
        let own = i32::try_from(std::process::id()).unwrap();
        let mut all = Vec::new();
        for entry in fs_err::read_dir("/proc").unwrap().flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|it| it.parse().ok()) else {
                continue;
            };
            // it may be gone by now
            let stat = fs_err::read(entry.path().join("stat")).unwrap_or_default();
            let stat = text(&stat);
            // behind the program's name, which may hold anything
            let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
            let fields: Vec<&str> = fields.split_whitespace().collect();
            if fields.is_empty() || ["Z", "X"].contains(&fields[0]) || id == own {
                continue;
            }
            all.push(Process {
                id,
                parent: fields[1].parse().unwrap(),
                session: fields[3].parse().unwrap(),
                began: fields[19].parse().unwrap(),
            });
        }
        let mut alive = BTreeMap::new();
        loop {
            let before = alive.len();
            for process in &all {
                let of_test = alive.contains_key(&process.id)
                    || alive.contains_key(&process.parent)
                    || self.processes.contains(&(process.id, process.began))
                    || self.sessions.contains(&process.session)
                    || before == 0 && has_in_environment(process.id, word);
                if of_test {
                    alive.insert(process.id, process.began);
                    if process.session == process.id {
                        self.sessions.insert(process.id);
                    }
                }
            }
            if alive.len() == before {
                break;
            }
        }
        // a number of a session is free again when all of it ended
        self.sessions
            .retain(|session| all.iter().any(|it| it.session == *session));
        self.processes
            .extend(alive.iter().map(|(id, began)| (*id, *began)));
        alive.keys().map(|id| (*id, command_line(*id))).collect()
    }
}

fn command_line(process: i32) -> String {
    let line = fs_err::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    text(&line).replace('\0', " ")
}

fn has_in_environment(process: i32, word: &str) -> bool {
    let environment = fs_err::read(format!("/proc/{process}/environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .any(|variable| variable == word.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn what_was_passed_over_is_listed_once() {
        let said = "NOT TESTED, two\nNOT TESTED, one\nNOT TESTED, two\n";
        let list = "\nPassed over in this run:\n  NOT TESTED, one\n  NOT TESTED, two\n";
        assert_eq!(listed(said), list);
    }

    /// The check itself fails when something is left, though it lost its environment, session and parent.
    #[test]
    fn what_a_test_leaves_is_noticed_and_killed() {
        for script in [
            "sleep 1234567 &",
            "env -i setsid sleep 1234567 & read _",
            "exec 3<&0; (env -i sleep 1234567 & read _ <&3) &",
        ] {
            let mark = Mark::new();
            let mut shell = Command::new("sh");
            shell.args(["-c", script]).stdin(Stdio::piped());
            shell.stdout(Stdio::null()).stderr(Stdio::null());
            let mut shell = mark.put(&mut shell).spawn().unwrap();
            // What started it goes once it was seen.
            wait_until("it is noticed", || {
                let known = mark.known.lock().unwrap();
                let mut known = known.processes.iter();
                known.any(|(id, _)| command_line(*id) == "sleep 1234567 ")
            });
            drop(shell.stdin.take());
            shell.wait().unwrap();
            let left = mark.left_after(Duration::from_millis(1500));
            assert_eq!(left.len(), 1, "{script}: {left:?}");
            assert_eq!(left[0].1, "sleep 1234567 ", "{script}");
            let process = left[0].0;
            drop(mark);
            let status = fs_err::read_to_string(format!("/proc/{process}/status"));
            let status = status.unwrap_or_default();
            assert!(
                status.is_empty() || status.contains("State:\tZ"),
                "{script}: {status}"
            );
        }
        let failed = std::panic::catch_unwind(|| {
            nothing_left_after(Duration::from_millis(500), |mark| {
                let mut sleep = Command::new("setsid");
                let sleep = sleep.args(["--fork", "sleep", "1234567"]);
                stdout(mark.put(sleep).stdout(Stdio::null()).stderr(Stdio::null()));
            });
        });
        let said = failed.unwrap_err();
        let said = said.downcast_ref::<String>().unwrap();
        assert!(said.contains("the test left processes"), "{said}");
        assert!(said.contains("sleep 1234567"), "{said}");
        nothing_left(|mark| stdout(mark.put(&mut Command::new("true"))));
    }
}
