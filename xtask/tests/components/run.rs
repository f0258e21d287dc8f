//! `run`: the sample with a real PostgreSQL, here and on another machine, signed in to over HTTP, and ended in
//! every way there is.

use std::collections::BTreeMap;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use test_support::common::{
    Mark, free_port, is_root_to, nothing_left, root, rounds, sample_copy, stdout, text, wait_until,
    xtask,
};
use test_support::far::Far;
use test_support::harness::in_mounts;
use test_support::terminal::Terminal;

/// How long a start may take on a machine that does much else.
const READY: Duration = Duration::from_secs(180);
/// How long an end may take, here and over there.
const ENDING: Duration = Duration::from_secs(25);
/// What the login flow is asked by.
const FLOW: &str = "/api/v3/flows/executor/default-authentication-flow/?query=";

/// The arguments that choose what is run, once it is built.
fn chosen() -> &'static [String] {
    static CHOSEN: OnceLock<Vec<String>> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let sample = sample_copy(Utf8Path::from_path(folder.path()).unwrap());
        // The venv's hash is that of one release of the distribution: elsewhere it is another.
        let pins = sample.join("pins.json");
        stdout(
            xtask()
                .args(["test-build", "service", "--pkgs", "host", "--no-tests"])
                .args(["--write-pins", "-q", "--on", "local", "--pins"])
                .arg(&pins),
        );
        let original = root().join("containers/authentik/sample/pins.json");
        if fs_err::read(&pins).unwrap() == fs_err::read(original).unwrap() {
            return vec!["--sample".to_owned()];
        }
        let _ = folder.keep();
        vec!["--pins".to_owned(), pins.into_string()]
    })
}

/// A folder for the data and all else of some runs, which any user can enter.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        stdout(Command::new("chmod").arg("711").arg(folder.path()));
        let place = Self { folder };
        fs_err::create_dir(place.path().join("tmp")).unwrap();
        place
    }

    fn path(&self) -> &Utf8Path {
        Utf8Path::from_path(self.folder.path()).unwrap()
    }

    fn data(&self) -> Utf8PathBuf {
        self.path().join("data")
    }

    /// `run` with the data here.
    fn command(&self, mark: &Mark, port: u16, arguments: &[&str]) -> Command {
        let mut command = self.bare(mark, port, arguments);
        command.arg("--data").arg(self.data());
        command
    }

    fn bare(&self, mark: &Mark, port: u16, arguments: &[&str]) -> Command {
        let mut command = xtask();
        mark.put(&mut command)
            .args(["run", "--pkgs", "host", "--port", &port.to_string()])
            .args(chosen())
            .args(arguments)
            .env("TMPDIR", self.path().join("tmp"))
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("XTASK_BUILD_HOST");
        command
    }

    /// The same on another machine, which has the same disk.
    fn command_on(&self, far: &Far, mark: &Mark, port: u16) -> Command {
        let mut command = self.command(mark, port, &["--on", "basher"]);
        command
            .env("NIX_SSHOPTS", format!("-F {}/config", far.path()))
            .env("USER", "somebody");
        command
    }

    /// What the last run noted of itself.
    fn note(&self) -> Option<Value> {
        serde_json::from_slice(&fs_err::read(self.data().join("lock")).ok()?).ok()
    }

    /// Nothing is left of the runs but the data.
    fn is_tidy(&self) {
        let left: Vec<Utf8PathBuf> = self
            .path()
            .join("tmp")
            .read_dir_utf8()
            .unwrap()
            .map(|entry| entry.unwrap().into_path())
            .filter(|path| path.file_name().unwrap().starts_with("xtask-run."))
            .collect();
        assert_eq!(left, [""; 0], "folders for sockets");
        if let Some(note) = self.note() {
            let runtime = note["runtime"].as_str().unwrap();
            assert!(!Utf8Path::new(runtime).exists(), "{runtime}");
        }
    }
}

fn signal(process: i32, signal: Signal) {
    // It may have ended by itself.
    let _ = kill_process(Pid::from_raw(process).unwrap(), signal);
}

/// Somebody who may sign in, and where.
#[derive(Debug, PartialEq)]
struct Login {
    address: String,
    user: String,
    password: String,
}

/// What the program prints once it is ready.
fn login(said: &str) -> Option<Login> {
    let mut lines = said.lines();
    // Each part says that it is ready, too.
    let (_, address) = lines.find_map(|line| line.split_once(" s: http"))?;
    let address = format!("http{}", address.trim());
    let (before, rest) = said.split_once("  password: ")?;
    // PostgreSQL has the same word in what it says of the time that a recovery took.
    let (_, user) = before.rsplit_once("user: ")?;
    let (password, _) = rest.split_once(['\r', '\n'])?;
    Some(Login {
        address,
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

#[test]
fn a_login_is_read_after_a_recovery() {
    let said = "postgresql> LOG:  redo done at 0/1A2B3C8 system usage: CPU: user: 0.01 s, system: 0.00 s\r\n\
                ready after 4.2 s: http://127.0.0.1:9000/\r\nuser: akadmin  password: 3e95\r\n";
    let login = login(said).unwrap();
    assert_eq!(login.address, "http://127.0.0.1:9000/");
    assert_eq!((&*login.user, &*login.password), ("akadmin", "3e95"));
}

/// A run that goes on.
struct Running {
    child: Child,
    said: [Arc<Mutex<Vec<u8>>>; 2],
    reading: Vec<JoinHandle<()>>,
}

/// A run that ended.
struct Ended {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said: [Arc<Mutex<Vec<u8>>>; 2] = Default::default();
        let reading = vec![
            read_aside(child.stdout.take().unwrap(), &said[0]),
            read_aside(child.stderr.take().unwrap(), &said[1]),
        ];
        Self {
            child,
            said,
            reading,
        }
    }

    fn id(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    fn stdout(&self) -> String {
        text(&self.said[0].lock().unwrap())
    }

    fn stderr(&self) -> String {
        text(&self.said[1].lock().unwrap())
    }

    /// Waits until something is there, as long as it runs.
    fn wait_for<T>(&mut self, what: &str, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            let ended = self.child.try_wait().unwrap();
            let said = || format!("{}\n{}", self.stdout(), self.stderr());
            assert!(ended.is_none(), "{what}: it ended: {ended:?}\n{}", said());
            assert!(start.elapsed() < READY, "waits for {what}\n{}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ready(&mut self) -> Login {
        self.wait_for("ready", |run| login(&run.stdout()))
    }

    /// Waits for its end.
    fn ended(mut self) -> Ended {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > READY {
                let _ = self.child.kill();
                panic!("it does not end:\n{}\n{}", self.stdout(), self.stderr());
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let start = Instant::now();
        while !self.reading.iter().all(JoinHandle::is_finished) {
            assert!(start.elapsed() < ENDING, "what it started holds its output");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ended {
            status,
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }

    fn ended_by(self, sent: Signal) -> Ended {
        signal(self.id(), sent);
        self.ended()
    }
}

fn read_aside(mut stream: impl Read + Send + 'static, to: &Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    let to = Arc::clone(to);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length) = stream.read(&mut buffer)
            && length > 0
        {
            to.lock().unwrap().extend_from_slice(&buffer[..length]);
        }
    })
}

impl Ended {
    #[track_caller]
    fn is(&self, code: i32, parts: &[&str]) {
        assert_eq!(
            self.status.code(),
            Some(code),
            "{}\n{}",
            self.stdout,
            self.stderr
        );
        for part in parts {
            assert!(
                self.stderr.contains(part),
                "lacks `{part}`:\n{}",
                self.stderr
            );
        }
        assert!(!self.stderr.contains("Traceback"), "{}", self.stderr);
    }
}

/// Somebody who asks over HTTP, with cookies.
#[derive(Default)]
struct Browser {
    port: u16,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn at(port: u16) -> Self {
        let cookies = BTreeMap::new();
        Self { port, cookies }
    }

    /// Status, head and body.
    fn ask(&mut self, path: &str, body: Option<&Value>) -> (u16, String, Vec<u8>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let limit = Some(Duration::from_secs(60));
        stream.set_read_timeout(limit).unwrap();
        let (method, body) = match body {
            Some(body) => ("POST", body.to_string()),
            None => ("GET", String::new()),
        };
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{}\r\nAccept: application/json\r\n\
             Cookie: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.port,
            cookies.join("; "),
            body.len()
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("{path}: {}", text(&answer)));
        let head = text(&answer[..end]);
        for line in head.lines() {
            if let Some(cookie) = line.strip_prefix("Set-Cookie: ") {
                let cookie = cookie.split(';').next().unwrap();
                let (name, value) = cookie.split_once('=').unwrap();
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head, answer.split_off(end + 4))
    }

    /// What the flow asks next, after an answer to what it asked last.
    fn challenge(&mut self, answer: Option<&Value>) -> Value {
        let (mut status, mut head, mut body) = self.ask(FLOW, answer);
        if status == 302 {
            (status, head, body) = self.ask(FLOW, None);
        }
        assert_eq!(status, 200, "{head}\n{}", text(&body));
        serde_json::from_slice(&body).unwrap()
    }

    /// Goes through the login flow; what comes at its end.
    fn sign_in(&mut self, login: &Login) -> Value {
        let first = self.challenge(None);
        assert_eq!(first["component"], "ak-stage-identification", "{first}");
        let user = json!({ "component": "ak-stage-identification", "uid_field": login.user });
        let second = self.challenge(Some(&user));
        assert_eq!(second["component"], "ak-stage-password", "{second}");
        let password = json!({ "component": "ak-stage-password", "password": login.password });
        self.challenge(Some(&password))
    }

    /// Who this is; nobody without a session.
    fn who(&mut self) -> Option<String> {
        let (status, _, body) = self.ask("/api/v3/core/users/me/", None);
        if status != 200 {
            return None;
        }
        let body: Value = serde_json::from_slice(&body).unwrap();
        Some(body["user"]["username"].as_str().unwrap().to_owned())
    }
}

/// Signs in as the user that was printed.
fn signed_in(port: u16, login: &Login) -> Browser {
    let mut browser = Browser::at(port);
    assert_eq!(browser.who(), None);
    let last = browser.sign_in(login);
    assert_eq!(last["component"], "xak-flow-redirect", "{login:?} {last}");
    assert_eq!(browser.who().as_deref(), Some("akadmin"));
    browser
}

/// The process of a part of the service, or of what starts it.
fn process_of(part: &str, place: &Place, mark: &Mark) -> Option<i32> {
    let alive = mark.alive();
    if part == "ssh" {
        let is_ssh = |line: &str| line.starts_with("ssh ") && line.contains("exec sh -s");
        return Some(alive.iter().find(|(_, line)| is_ssh(line))?.0);
    }
    let parent = |id: i32| -> Option<i32> {
        let status = fs_err::read_to_string(format!("/proc/{id}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        line.trim().parse().ok()
    };
    let watcher = i32::try_from(place.note()?["pid"].as_i64()?).ok()?;
    if !alive.iter().any(|(id, _)| *id == watcher) {
        return None;
    }
    let of = |above: i32, is_it: &dyn Fn(&str) -> bool| {
        let mut found = alive.iter().filter(|(id, _)| parent(*id) == Some(above));
        found.find(|(_, line)| is_it(line)).map(|(id, _)| *id)
    };
    if part == "supervise" {
        return Some(watcher);
    }
    let child = of(watcher, &|line| line.contains("supervise.py"))?;
    match part {
        "child" => Some(child),
        "postgresql" => of(child, &|line| {
            line.contains("/bin/postgres -D") || line.contains("/bin/postgres -k")
        }),
        "worker" => of(child, &|line| line.contains("worker")),
        "server" => of(child, &|line| {
            line.trim() == "authentik" || line.ends_with(" server ")
        }),
        _ => panic!("{part}"),
    }
}

#[test]
fn it_signs_in_and_keeps_its_data() {
    let place = Place::new();
    // As in a file system of its own.
    fs_err::create_dir_all(place.data().join("lost+found")).unwrap();
    nothing_left(|mark| {
        let port = free_port();
        let mut run = Running::start(&mut place.command(mark, port, &[]));
        let login = run.ready();
        assert_eq!(login.address, format!("http://127.0.0.1:{port}/"));
        assert_eq!((login.user.as_str(), login.password.len()), ("akadmin", 32));
        let mut browser = signed_in(port, &login);
        for (id, line) in mark.alive() {
            assert!(!line.contains(&login.password), "{id}: {line}");
        }

        let pid = place.note().unwrap()["pid"].to_string();
        let second = Running::start(&mut place.command(mark, free_port(), &[])).ended();
        let holds = format!("is in use by process {pid} since ");
        second.is(2, &[&holds, place.data().as_str()]);
        let second = Running::start(&mut place.command(mark, free_port(), &["--fresh"])).ended();
        second.is(2, &[&holds]);
        let other = Place::new();
        let second = Running::start(&mut other.command(mark, port, &[])).ended();
        second.is(2, &[&format!("port {port} of 127.0.0.1"), "`--port N`"]);
        assert_eq!(browser.who().as_deref(), Some("akadmin"));

        let ended = run.ended_by(Signal::INT);
        let labels = [
            "postgresql> ",
            "server> ready after ",
            "worker> ready after ",
        ];
        ended.is(130, &labels);
        ended.is(130, &["interrupted by SIGINT"]);
        assert_eq!(ended.stdout.matches(&login.password).count(), 1);
        assert!(!ended.stderr.contains(&login.password));
        assert_eq!(mark.left_after(Duration::from_secs(1)), []);
        place.is_tidy();
        let version = fs_err::read_to_string(place.data().join("version")).unwrap();
        assert_eq!(version, "2026.2.0");

        // Data of its release candidate are taken.
        fs_err::write(place.data().join("version"), "2026.2.0-rc1").unwrap();
        let mut run = Running::start(&mut place.command(mark, port, &[]));
        assert_eq!(run.ready(), login);
        assert_eq!(browser.who().as_deref(), Some("akadmin"));
        signed_in(port, &login);
        run.ended_by(Signal::TERM).is(143, &["SIGTERM"]);
        place.is_tidy();

        let mut run = Running::start(&mut place.command(mark, port, &["--fresh"]));
        let fresh = run.ready();
        assert_ne!(fresh.password, login.password);
        assert_eq!(browser.who(), None);
        signed_in(port, &fresh);
        run.ended_by(Signal::HUP).is(129, &["SIGHUP"]);
        place.is_tidy();
    });
}

#[test]
fn versions_of_data_are_in_order() {
    let sorted = "2025.12.4 2026.2.0-rc2 2026.2.0-rc10 2026.2.0 2026.2.2 2026.2.10 2026.10.0";
    let program = "import supervise, sys; print(*sorted(sys.argv[1:], key=supervise.parsed))";
    let mut command = Command::new("python3");
    command
        .env("PYTHONPATH", root().join("containers/authentik"))
        .args(["-B", "-c", program])
        .args(sorted.split(' ').rev());
    assert_eq!(stdout(&mut command).trim(), sorted);
}

#[test]
fn it_says_why_it_can_not_run() {
    let place = Place::new();
    nothing_left(|mark| {
        let refused_with = |arguments: &[&str], data: &Utf8Path, parts: &[&str]| {
            let mut command = place.bare(mark, free_port(), arguments);
            command.arg("--data").arg(data);
            Running::start(&mut command).ended().is(2, parts);
            place.is_tidy();
        };
        let refused = |data: &Utf8Path, parts: &[&str]| refused_with(&[], data, parts);
        let folder = |name: &str, file: &str, contents: &str| {
            let file = place.path().join(name).join(file);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, contents).unwrap();
            place.path().join(name)
        };
        // What is not of a run is left as it is.
        for (file, contents) in [("lock", "[]"), ("secrets.json", "{}"), ("lock", "")] {
            let name = format!("project {file} {contents}");
            let project = folder(&name, "storage/picture", "kept");
            folder(&name, file, contents);
            let seen = || {
                let mut list = Command::new("find");
                stdout(list.arg(&project).args(["-printf", "%p %m %u %s\\n"]))
            };
            let before = seen();
            for arguments in [&[][..], &["--fresh"]] {
                refused_with(arguments, &project, &["is not the folder of a run", &name]);
                assert_eq!(seen(), before);
            }
        }
        for name in ["newer", "other", "damaged"] {
            folder(name, "lock", "{ \"runtime\": \"ended\" }");
        }
        let newer = folder("newer", "version", "9999.1.0");
        refused(&newer, &["is of version 9999.1.0", "`--fresh`"]);
        let other = folder("other", "postgresql/PG_VERSION", "9\n");
        folder("other", "version", "2025.12.0");
        refused(
            &other,
            &["made by PostgreSQL 9, and this is", "pg_dump", "`--fresh`"],
        );
        // The version that can dump them is not refused afterwards.
        let version = fs_err::read_to_string(other.join("version")).unwrap();
        assert_eq!(version, "2025.12.0");
        let damaged = folder("damaged", "secrets.json", "{\n");
        refused(&damaged, &["is damaged", "`--fresh`", damaged.as_str()]);
        folder("file", "data", "");
        let file = place.path().join("file/data");
        refused(&file, &[file.as_str()]);
        if is_root_to("close a folder to the parts") {
            let closed = place.path().join("closed");
            fs_err::create_dir(&closed).unwrap();
            stdout(Command::new("chmod").args(["700", closed.as_str()]));
            let parts = ["65534", "can't enter", closed.as_str(), "`--data DIR`"];
            refused(&closed.join("data"), &parts);
        }
    });
}

#[test]
fn a_part_that_is_killed_ends_the_run() {
    let place = Place::new();
    nothing_left(|mark| {
        for part in ["server", "worker", "postgresql"] {
            let mut run = Running::start(&mut place.command(mark, free_port(), &[]));
            let label = format!("{part}> ");
            let process = run.wait_for(part, |run| {
                let all_run =
                    run.stderr().contains("worker> ") && run.stderr().contains("server> ");
                process_of(part, &place, mark).filter(|_| all_run && run.stderr().contains(&label))
            });
            signal(process, Signal::KILL);
            let ended = run.ended();
            ended.is(1, &[&format!("error: {part} was killed by signal 9")]);
            assert_eq!(mark.left_after(Duration::from_secs(1)), [], "{part}");
            place.is_tidy();
        }
    });
}

#[test]
fn a_disk_without_space() {
    let place = Place::new();
    nothing_left(|mark| {
        for size in ["4k", "16m"] {
            let command = place.bare(mark, free_port(), &[]);
            let script = format!(
                "mount -t tmpfs -o size={size},mode=755 none $D; exec timeout 150 \"$@\" --data $D/data"
            );
            let Some(output) = in_mounts(&script, &command) else {
                return;
            };
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{size}: {said}");
            assert!(said.contains("No space left on device"), "{size}: {said}");
            assert!(!said.contains("Traceback"), "{size}: {said}");
            place.is_tidy();
        }
    });
}

#[test]
fn parts_that_start_have_a_line_each() {
    let place = Place::new();
    nothing_left(|mark| {
        let port = free_port();
        let mut terminal = Terminal::start(&place.command(mark, port, &[]), 40, 150);
        let login = ready_on(&mut terminal);
        signed_in(port, &login);
        let screens = terminal.screens();
        for parts in [
            &["\nmigrate ", "\nstarting; ", "; ready: postgresql"][..],
            &["\nserver ", "\nworker ", "; ready: postgresql"],
            &[
                "server> ready after ",
                "\nworker ",
                "; ready: postgresql, server",
            ],
        ] {
            let holds = |screen: &String| parts.iter().all(|part| screen.contains(part));
            assert!(
                screens.iter().any(holds),
                "no screen with {parts:?}:\n{}",
                screens.join("\n-----\n")
            );
        }
        // The log follows, each line under its name.
        wait_until("it logs", || {
            let said = text(&terminal.bytes());
            let (_, after) = said.split_once(&login.password).unwrap();
            after.contains("server> ")
        });
        terminal.type_keys(b"\x03");
        assert_eq!(ended_on(&mut terminal), Some(130));
        place.is_tidy();
    });
}

/// What a run on a terminal prints when it is ready.
fn ready_on(terminal: &mut Terminal) -> Login {
    let start = Instant::now();
    loop {
        if let Some(login) = login(&text(&terminal.bytes())) {
            return login;
        }
        let ended = terminal.child.try_wait().unwrap();
        assert!(ended.is_none(), "{}", terminal.screen());
        assert!(start.elapsed() < READY, "{}", terminal.screen());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn ended_on(terminal: &mut Terminal) -> Option<i32> {
    wait_until("it ends", || terminal.child.try_wait().unwrap().is_some());
    terminal.wait()
}

/// Nothing runs over there, and no folder is left.
fn nothing_there(far: &Far, mark: &Mark) {
    assert_eq!(mark.left_after(ENDING), []);
    let start = Instant::now();
    while !far.folders().is_empty() {
        assert!(start.elapsed() < ENDING, "{:?}", far.folders());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn on_another_machine() {
    let place = Place::new();
    nothing_left(|mark| {
        let Some(far) = Far::start_with(&[mark.variable()], "") else {
            return;
        };
        let port = free_port();
        let mut run = Running::start(&mut place.command_on(&far, mark, port));
        let login = run.ready();
        assert_eq!(login.address, format!("http://127.0.0.1:{port}/"));
        let mut browser = signed_in(port, &login);
        run.ended_by(Signal::INT)
            .is(130, &["interrupted by SIGINT"]);
        nothing_there(&far, mark);
        place.is_tidy();
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());

        // Cut off in every way, the data stay.
        for cut in ["xtask", "ssh"] {
            let mut run = Running::start(&mut place.command_on(&far, mark, port));
            run.wait_for("the server", |_| process_of("server", &place, mark));
            if cut == "ssh" {
                let ssh = process_of("ssh", &place, mark).unwrap();
                signal(ssh, Signal::KILL);
                run.ended().is(2, &["the connection to `basher` was lost"]);
            } else {
                run.ended_by(Signal::KILL);
            }
            nothing_there(&far, mark);
            place.is_tidy();
        }
        let mut run = Running::start(&mut place.command_on(&far, mark, port));
        assert_eq!(run.ready(), login);
        assert_eq!(browser.who().as_deref(), Some("akadmin"));
        run.ended_by(Signal::INT).is(130, &[]);
    });
}

#[test]
fn a_machine_that_forwards_nothing() {
    let place = Place::new();
    nothing_left(|mark| {
        let Some(far) = Far::start_with(&[mark.variable()], "") else {
            return;
        };
        let authorized = far.path().join("authorized");
        let key = fs_err::read_to_string(&authorized).unwrap();
        fs_err::write(&authorized, format!("no-port-forwarding {key}")).unwrap();
        let ended = Running::start(&mut place.command_on(&far, mark, free_port())).ended();
        ended.is(2, &["does not forward port", "AllowTcpForwarding"]);
        nothing_there(&far, mark);
        place.is_tidy();
    });
}

/// Numbers that look random, the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Whatever is killed, and whenever: nothing runs on, and the next run has the same data.
///
/// `XTASK_STRESS=1` makes it twenty rounds, `XTASK_SEED` repeats those of another time.
#[test]
fn killed_at_random_moments() {
    let place = Place::new();
    let given = std::env::var("XTASK_SEED").ok();
    let seed = given.map_or_else(
        || u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos()),
        |seed| seed.parse().unwrap(),
    );
    let rounds = u64::from(rounds(3, 20));
    let mut random = Random(seed);
    nothing_left(|mark| {
        let far = Far::start_with(&[mark.variable()], "");
        let mut known: Option<(Login, Browser)> = None;
        let kinds = [
            "xtask",
            "supervise",
            "child",
            "postgresql",
            "server",
            "worker",
            "twice",
            "terminal",
            "ssh",
        ];
        // There is no ssh to kill where there is no other machine.
        let kinds = &kinds[..kinds.len() - usize::from(far.is_none())];
        let count = u64::try_from(kinds.len()).unwrap();
        // Each kind in turn, from a random one on.
        let first = random.below(count);
        for round in 0..=rounds {
            let kind = kinds[usize::try_from((first + round) % count).unwrap()];
            let far = far
                .as_ref()
                .filter(|_| kind == "ssh" || random.below(3) == 0);
            let port = free_port();
            let command = || match far {
                Some(far) => place.command_on(far, mark, port),
                None => place.command(mark, port, &[]),
            };
            // While it starts, in half of the rounds, and then when it is ready.
            let early = (round < rounds && random.below(2) == 0).then(|| random.below(5000));
            for delay in early.map(Some).into_iter().chain([None]) {
                let what = format!(
                    "seed {seed}, round {round}: {kind}{}, {}",
                    if far.is_some() { " over there" } else { "" },
                    delay.map_or("ready".to_owned(), |delay| format!("after {delay} ms")),
                );
                eprintln!("{what}");
                let is_last = round == rounds;
                if kind == "terminal" && !is_last {
                    let mut terminal = Terminal::start(&command(), 40, 150);
                    match delay {
                        Some(delay) => std::thread::sleep(Duration::from_millis(delay)),
                        None => check(&mut known, port, ready_on(&mut terminal), &what),
                    }
                    terminal.hang_up();
                } else {
                    let mut run = Running::start(&mut command());
                    if let Some(delay) = delay {
                        if !["xtask", "twice"].contains(&kind) {
                            run.wait_for(kind, |_| process_of(kind, &place, mark));
                        }
                        std::thread::sleep(Duration::from_millis(delay));
                    } else {
                        let login = run.ready();
                        check(&mut known, port, login, &what);
                    }
                    if is_last {
                        run.ended_by(Signal::INT).is(130, &[]);
                    } else {
                        end_by(kind, run, &place, mark, &what);
                    }
                }
                assert_eq!(mark.left_after(ENDING), [], "{what}");
                if let Some(far) = far {
                    nothing_there(far, mark);
                }
            }
        }
        place.is_tidy();
    });
}

/// A run that is ready has the data of those before.
fn check(known: &mut Option<(Login, Browser)>, port: u16, login: Login, what: &str) {
    if let Some((before, browser)) = known {
        assert_eq!(before.password, login.password, "{what}");
        browser.port = port;
        assert_eq!(browser.who().as_deref(), Some("akadmin"), "{what}");
    }
    let browser = signed_in(port, &login);
    *known = Some((login, browser));
}

/// Kills a process of a run and checks what is said of it.
fn end_by(kind: &str, run: Running, place: &Place, mark: &Mark, what: &str) {
    let found = match kind {
        "xtask" | "twice" => Some(run.id()),
        _ => process_of(kind, place, mark),
    };
    let Some(process) = found else {
        eprintln!("  there is no {kind} yet");
        run.ended_by(Signal::INT);
        return;
    };
    if kind == "twice" {
        signal(process, Signal::INT);
        std::thread::sleep(Duration::from_millis(100));
        signal(process, Signal::INT);
    } else {
        signal(process, Signal::KILL);
    }
    let ended = run.ended();
    let said = format!("{what}: {:?}\n{}", ended.status, ended.stderr);
    let words = match kind {
        "xtask" => {
            assert_eq!(ended.status.signal(), Some(9), "{said}");
            return;
        }
        "twice" => {
            // At once it may not have taken signals over.
            let is_so = ended.status.code() == Some(130) || ended.status.signal() == Some(2);
            assert!(is_so, "{said}");
            return;
        }
        "supervise" => "what starts the service ended",
        "child" => "what runs the service was killed by signal 9",
        "ssh" => "connection",
        part => &format!("{part} was killed by signal 9"),
    };
    assert!(matches!(ended.status.code(), Some(1 | 2)), "{said}");
    assert!(ended.stderr.contains(words), "{said}");
}
