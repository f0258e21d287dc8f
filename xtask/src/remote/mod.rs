//! The other machine: one ssh connection, in which `agent.sh` does there what it is told.
//!
//! What goes over it are command lines of Nix, one at a time, and their answers; the log of a build comes
//! back as it is written. Paths of this machine that were sent along are replaced by those over there on
//! the way out, and back again in answers, so that nobody else has to know of them. May use the crates
//! below and nothing else of xtask.

pub mod protocol;
pub mod ssh;
pub mod ssh_error;
pub mod upload;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::process::{ChildStdin, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use xshell::Cmd;

use self::protocol::{Hello, Message, Tail, exit_status, read_pieces, read_stdout};
pub use self::ssh::{Forward, nonce, owner};
use self::upload::Upload;
use nix_formats::derivation::{self, Output};
use sys::process::{Captured, Conversation, Input, Processes};
use sys::quote;

/// What `sh -s` reads there.
const SCRIPT: &str = include_str!("agent.sh");
/// What the process needs as well that watches it.
const COMMON: &str = include_str!("watchdog.sh");
/// How often this side says that it lives; once it did, the other side waits for ten seconds.
const BEAT: Duration = Duration::from_secs(2);
/// How long a signal may go unnoticed.
const TICK: Duration = Duration::from_millis(100);
/// The time between two looks at outputs and build folders.
const LOOK: Duration = Duration::from_millis(300);
/// How many messages wait to be read; an answer may be long.
const QUEUED: usize = 4;
/// How much a pipe takes at once for sure when it takes anything (`PIPE_BUF` of POSIX is 512, of Linux 4096).
const PIECE: usize = 512;
/// How much of what ssh says is kept, in bytes.
const SAID: usize = 16 << 10;
/// The variable that says how many seconds the other side may be silent, and how long it is without it.
const PATIENCE: &str = "XTASK_REMOTE_PATIENCE";
const SILENT: Duration = Duration::from_secs(14);

/// How long the other side may say nothing while it follows a build: a lost connection is to be noticed
/// within fifteen seconds, unless `XTASK_REMOTE_PATIENCE` says another number.
fn silence() -> Duration {
    static SILENCE: OnceLock<Duration> = OnceLock::new();
    // Whoever connects has refused what is no number.
    *SILENCE.get_or_init(|| patience(std::env::var_os(PATIENCE).as_deref()).unwrap_or(SILENT))
}

/// What `XTASK_REMOTE_PATIENCE` says; more than an hour no connection is worth.
fn patience(given: Option<&OsStr>) -> Result<Duration> {
    let Some(given) = given.filter(|given| !given.is_empty()) else {
        return Ok(SILENT);
    };
    let seconds = given.to_str().and_then(|text| text.parse().ok());
    match seconds {
        Some(seconds @ 1..=3600) => Ok(Duration::from_secs(seconds)),
        _ => bail!(
            "invalid `{PATIENCE}={}`: give a number of seconds from 1 to 3600, such as 30",
            given.display()
        ),
    }
}

/// How long it may take to end what runs there and to remove the folder.
fn ending() -> Duration {
    2 * silence()
}

/// How long it may take until the other side greets: a login shell may have much to do.
fn greeting() -> Duration {
    4 * silence()
}

/// How the commands of one request hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They don't.
    All,
    /// Each is run when those before it succeeded.
    While,
    /// The same, and the session ends when all did.
    Last,
}

/// A connection to another machine.
pub struct Remote<'a> {
    host: String,
    /// Whether a port is forwarded, by a connection of its own.
    forwards: bool,
    processes: &'a Processes,
    talk: RefCell<Conversation>,
    to: Arc<Mutex<Option<ChildStdin>>>,
    from: Receiver<Message>,
    /// A word that nobody else knows.
    marker: String,
    /// What ssh, and whoever speaks in between, said on stderr.
    said: RefCell<Vec<u8>>,
    hello: RefCell<Hello>,
    /// Paths here and there.
    places: RefCell<Vec<(String, String)>>,
    /// Variables for the commands.
    environment: RefCell<Vec<(String, String)>>,
    /// Answers to files that were sent, which nobody waited for yet.
    owed: Cell<usize>,
    /// Whether this side waits for an answer to something that it has not waited for yet.
    asked: Cell<bool>,
    /// How often it waited.
    trips: Cell<u32>,
    /// Whether the session ended as it should.
    over: Cell<bool>,
    fs_state: RefCell<FsState>,
}

/// What is known about files over there while a build runs.
#[derive(Default)]
struct FsState {
    /// Derivations that were asked about, in order.
    asked: VecDeque<String>,
    /// Outputs of derivations, not yet taken in.
    outputs: Vec<(String, Vec<Output>)>,
    /// The builds that the question asks about which is not answered yet, with their outputs.
    question: Option<BTreeMap<String, Vec<String>>>,
    /// Outputs that exist.
    exist: BTreeSet<String>,
    /// The builds that the last answer is about, and the build folders there were.
    looked: BTreeSet<String>,
    folders: Vec<String>,
    /// When the last question was asked.
    at: Option<Instant>,
    /// Whether something new is known.
    news: bool,
}

impl<'a> Remote<'a> {
    /// Starts ssh and sends the script; does not wait for an answer.
    ///
    /// `nixpkgs` is a store path that the hello says of whether it is there. With `compressed` ssh
    /// compresses all that travels; with `forward` a port here leads there as long as the connection lasts.
    pub fn connect(
        processes: &'a Processes,
        host: &str,
        nixpkgs: Option<&Utf8Path>,
        compressed: bool,
        forward: Option<Forward>,
    ) -> Result<Self> {
        ssh::check_host(host)?;
        patience(std::env::var_os(PATIENCE).as_deref())?;
        let marker = nonce()?;
        let mut talk = processes.converse(ssh::command(processes, host, compressed, forward))?;
        let (stdin, stdout, stderr) = talk.streams().context("talking to ssh")?;
        let (sender, from) = sync_channel(QUEUED);
        let for_stdout = sender.clone();
        let end_of_noise = marker.clone();
        std::thread::spawn(move || {
            if let Err(error) = read_stdout(stdout, &end_of_noise, &for_stdout) {
                let problem = format!("problem what it answers makes no sense: {error:#}");
                let _ = for_stdout.send(Message::Line(problem));
            }
            let _ = for_stdout.send(Message::End);
        });
        std::thread::spawn(move || {
            let _ = read_pieces(stderr, &sender, Message::Stderr);
        });
        let remote = Self {
            host: host.to_owned(),
            forwards: forward.is_some(),
            processes,
            talk: RefCell::new(talk),
            to: Arc::new(Mutex::new(Some(stdin))),
            from,
            said: RefCell::default(),
            hello: RefCell::default(),
            places: RefCell::default(),
            environment: RefCell::default(),
            owed: Cell::new(0),
            asked: Cell::new(true),
            trips: Cell::new(0),
            over: Cell::new(false),
            fs_state: RefCell::default(),
            marker,
        };
        let variables = [
            ("marker", remote.marker.as_str()),
            ("whose", &ssh::whose()),
            ("nixpkgs", nixpkgs.map_or("", Utf8Path::as_str)),
            ("common", COMMON),
        ];
        let mut script = "nl='\n'\n".to_owned();
        for (name, value) in variables {
            script = script + name + "=" + &quote::quoted(value) + "\n";
        }
        script += SCRIPT;
        // Why it can't be sent the hello will tell, for it does not come.
        let _ = remote.send(script.as_bytes());
        Ok(remote)
    }

    /// Waits for the hello.
    pub fn await_hello(&self) -> Result<Hello> {
        let start = Instant::now();
        let hello = loop {
            if start.elapsed() > greeting() {
                self.over.set(true);
                self.talk.borrow_mut().kill();
                bail!(
                    "`{}` took the connection and says nothing for {} seconds: see what `ssh {}` does \
                     there",
                    self.host,
                    greeting().as_secs(),
                    self.host
                );
            }
            match self.next(TICK)? {
                Some(Message::Hello(hello)) => break hello,
                Some(_) | None => {
                    if let Some(interrupted) = self.processes.signal() {
                        return Err(interrupted.into());
                    }
                }
            }
        };
        // Where the user's settings are to accept any key ssh only warns of another one.
        let said = self.ssh_said();
        if ssh_error::is_another_key(&said) {
            bail!("{}", ssh_error::explain(&self.host, &said, self.forwards));
        }
        *self.hello.borrow_mut() = hello.clone();
        if hello.get("folder").is_none() {
            // It said all there is to say.
            self.over.set(true);
        } else {
            self.keep_beating();
        }
        Ok(hello)
    }

    /// The name of the machine, as it was given.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What the other side said of itself.
    pub fn hello(&self) -> Hello {
        self.hello.borrow().clone()
    }

    /// Whether the session ended as it should.
    pub fn is_over(&self) -> bool {
        self.over.get()
    }

    /// A path below the run's folder.
    pub fn below(&self, name: &str) -> Utf8PathBuf {
        let hello = self.hello.borrow();
        Utf8Path::new(hello.get("folder").unwrap_or_default()).join(name)
    }

    /// The folder for temporary files of the machine itself.
    pub fn temporary(&self) -> Utf8PathBuf {
        let hello = self.hello.borrow();
        hello.get("TMPDIR").unwrap_or("/tmp").into()
    }

    /// Sends an upload that was packed; what is in it is known by its paths here from now on.
    pub fn deliver(&self, upload: &Upload, packed: &[u8]) -> Result<()> {
        let place = (upload.from.to_string(), self.below(upload.to).into_string());
        let mut places = self.places.borrow_mut();
        if !places.contains(&place) {
            places.push(place);
            // The longest first: a place may lie in another.
            places.sort_by_key(|(here, _)| std::cmp::Reverse(here.len()));
        }
        drop(places);
        self.send_files(upload.to, packed)
    }

    /// Sends a packed folder, which is unpacked as `to` below the run's folder.
    pub fn send_files(&self, to: &str, packed: &[u8]) -> Result<()> {
        let line = quote::line(["files", to, &packed.len().to_string()]);
        self.ask(&line)?;
        self.owed.set(self.owed.get() + 1);
        self.send(packed)
    }

    /// Gives the commands from now on these variables.
    pub fn set_environment(&self, variables: Vec<(String, String)>) {
        *self.environment.borrow_mut() = variables;
    }

    /// What starts processes here.
    pub fn processes(&self) -> &'a Processes {
        self.processes
    }

    /// Waits for the answers to files that were sent.
    fn await_acks(&self) -> Result<()> {
        for _ in 0..self.owed.take() {
            self.answer(String::new())?;
        }
        Ok(())
    }

    /// Runs a command to its end and gives its output.
    pub fn capture(&self, command: Cmd<'_>) -> Result<Captured> {
        let captured = self.run(Mode::All, vec![command])?.pop();
        captured.context("an answer was expected")
    }

    /// Runs commands one after the other. In other modes than [`Mode::All`] the last is the one that
    /// failed, if one did.
    pub fn run(&self, mode: Mode, commands: Vec<Cmd<'_>>) -> Result<Vec<Captured>> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let mode_word = match mode {
            Mode::All => "all",
            Mode::While => "while",
            Mode::Last => "last",
        };
        let lines: Vec<(String, String)> = commands
            .into_iter()
            .map(|command| self.prepare(command))
            .collect();
        let words = ["run", mode_word].into_iter();
        self.ask(&quote::line(
            words.chain(lines.iter().map(|(line, _)| line.as_str())),
        ))?;
        self.await_acks()?;
        let mut all = Vec::new();
        for (_, command) in lines {
            let captured = self.answer(command)?;
            let failed = !captured.status.success();
            all.push(captured);
            if failed && mode != Mode::All {
                return Ok(all);
            }
        }
        if mode == Mode::Last {
            self.over.set(true);
        }
        Ok(all)
    }

    /// The answer to a command.
    fn answer(&self, command: String) -> Result<Captured> {
        let mut stopped = None;
        loop {
            match self.next(TICK)? {
                Some(Message::Reply {
                    status,
                    stdout,
                    stderr,
                }) => {
                    if let Some(interrupted) = self.processes.signal() {
                        return Err(interrupted.into());
                    }
                    return Ok(Captured {
                        status: exit_status(status),
                        stdout: self.as_here(&stdout),
                        stderr: self.as_here(&stderr),
                        command,
                    });
                }
                Some(_) | None => self.stop_if_asked(&mut stopped)?,
            }
        }
    }

    /// Runs a command and hands over its stderr, as [`Processes::stream`] does.
    pub fn stream(
        &self,
        command: Cmd<'_>,
        tick: Duration,
        mut on_input: impl FnMut(Input<'_>) -> Result<()>,
    ) -> Result<ExitStatus> {
        self.await_acks()?;
        let (line, _) = self.prepare(command);
        *self.fs_state.borrow_mut() = FsState::default();
        self.ask(&quote::line(["stream", &line]))?;
        let marker = format!("\n{}\n", self.marker).into_bytes();
        let mut log = Tail::new(marker);
        let mut outcome = Ok(());
        let mut status = None;
        let mut stopped = None;
        // Only what was spent waiting for the other side: a terminal may take nothing for as long as it likes.
        let mut unheard = Duration::ZERO;
        let mut pause = Instant::now();
        while status.is_none() || !log.is_complete() || !self.fs_state.borrow().asked.is_empty() {
            let waiting = Instant::now();
            let word = self.next(tick)?;
            unheard = match word {
                None | Some(Message::Stderr(_)) => unheard + waiting.elapsed(),
                Some(_) => Duration::ZERO,
            };
            match word {
                Some(Message::Stderr(bytes)) => {
                    let bytes = log.push(&bytes);
                    if outcome.is_ok() && !bytes.is_empty() {
                        outcome = on_input(Input::Bytes(&bytes));
                    }
                }
                Some(Message::Reply { status: ended, .. }) => status = Some(exit_status(ended)),
                Some(Message::Line(line)) => self.take_line(&line),
                Some(_) | None => {}
            }
            if outcome.is_ok() && pause.elapsed() >= tick {
                let held = log.release();
                if !held.is_empty() {
                    outcome = on_input(Input::Bytes(held));
                }
                outcome = outcome.and_then(|()| on_input(Input::Pause));
                pause = Instant::now();
            }
            if outcome.is_err() && stopped.is_none() {
                stopped = Some(Instant::now());
                self.send(b"stop\n")?;
            }
            self.stop_if_asked(&mut stopped)?;
            if unheard > silence() {
                self.over.set(true);
                self.talk.borrow_mut().kill();
                bail!(
                    "`{}` has said nothing for {} seconds: the connection is as good as lost; what runs \
                     there ends by itself, and the next run removes what is left",
                    self.host,
                    silence().as_secs()
                );
            }
        }
        if outcome.is_ok() {
            outcome = on_input(Input::Pause);
        }
        outcome?;
        status.context("an answer was expected")
    }

    /// Runs a command whose stdout `take` gets as it comes, and ends the session.
    pub fn raw(&self, command: Cmd<'_>, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let (line, text) = self.prepare(command);
        self.ask(&quote::line(["raw", &line]))?;
        let mut stopped = None;
        loop {
            match self.receive(TICK)? {
                Some(Message::Raw(bytes)) => take(&bytes)?,
                Some(Message::Stderr(bytes)) => self.on_stderr(&bytes),
                Some(Message::End) => break,
                Some(_) | None => {}
            }
            self.stop_if_asked(&mut stopped)?;
        }
        if let Some(interrupted) = self.processes.signal() {
            return Err(interrupted.into());
        }
        let status = self.talk.borrow_mut().wait(ending());
        if status.is_some_and(|status| status.success()) {
            self.over.set(true);
            return Ok(());
        }
        bail!("`{text}` failed on `{}`:\n{}", self.host, self.ssh_said());
    }

    /// Asks for the outputs of a derivation whose build begins.
    pub fn ask_outputs(&self, drv: &str) -> Result<()> {
        self.fs_state.borrow_mut().asked.push_back(drv.to_owned());
        self.send(format!("{}\n", quote::line(["drv", drv])).as_bytes())
    }

    /// The outputs that came since the last time.
    pub fn take_outputs(&self) -> Vec<(String, Vec<Output>)> {
        std::mem::take(&mut self.fs_state.borrow_mut().outputs)
    }

    /// Asks what there is of these builds, outputs and folders, unless that was asked just now; says
    /// whether something is known since the last time that was not known before.
    pub fn look(&self, builds: impl FnOnce() -> BTreeMap<String, Vec<String>>) -> Result<bool> {
        let mut fs_state = self.fs_state.borrow_mut();
        let waits =
            fs_state.question.is_some() || fs_state.at.is_some_and(|at| at.elapsed() < LOOK);
        if !waits {
            let builds = builds();
            let paths = builds.values().flatten().map(String::as_str);
            let line = quote::line(["look"].into_iter().chain(paths));
            self.send(format!("{line}\n").as_bytes())?;
            fs_state.question = Some(builds);
            fs_state.at = Some(Instant::now());
        }
        Ok(std::mem::take(&mut fs_state.news))
    }

    /// Whether a path was there at the last look.
    pub fn was_there(&self, path: &str) -> bool {
        self.fs_state.borrow().exist.contains(path)
    }

    /// Whether the last look was for a build's folder, too, and there was none whose name begins so.
    pub fn had_no_folder(&self, drv: &str, name: &str) -> bool {
        let fs_state = self.fs_state.borrow();
        let is_its = |folder: &String| folder.starts_with(name);
        fs_state.looked.contains(drv) && !fs_state.folders.iter().any(is_its)
    }

    fn take_line(&self, line: &str) {
        let mut fs_state = self.fs_state.borrow_mut();
        if let Some(text) = line.strip_prefix("drv ") {
            if let Some(drv) = fs_state.asked.pop_front() {
                let outputs = derivation::outputs(text).unwrap_or_default();
                fs_state.outputs.push((drv, outputs));
                fs_state.news = true;
            }
        } else if let Some(text) = line.strip_prefix("look ") {
            let mut words = text.split(' ');
            let flags = words.next().unwrap_or_default().bytes();
            let builds = fs_state.question.take().unwrap_or_default();
            let exist = builds.values().flatten().zip(flags);
            let exist = exist.filter(|(_, flag)| *flag == b'1');
            fs_state.exist.extend(exist.map(|(path, _)| path.clone()));
            fs_state.looked = builds.into_keys().collect();
            fs_state.folders = words
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect();
            fs_state.news = true;
        }
    }

    /// A command as a line for the other side, and a human-readable one.
    fn prepare(&self, command: Cmd<'_>) -> (String, String) {
        let shown = command.to_string();
        let command: Command = command.into();
        let program = std::iter::once(command.get_program());
        let words = program.chain(command.get_args());
        let own = command.get_envs().filter_map(|(name, value)| {
            let (name, value) = (name.to_string_lossy(), value?.to_string_lossy());
            Some(format!("{name}={value}"))
        });
        let settings = self.environment.borrow();
        let settings = settings
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let mut line: Vec<String> = settings.chain(own).collect();
        line.extend(words.map(|word| self.as_there(&word.to_string_lossy())));
        self.processes.note(&format!("{}: {shown}", self.host));
        (quote::words(line), shown)
    }

    /// An argument with a path there in the place of one here.
    pub(crate) fn as_there(&self, argument: &str) -> String {
        for (here, there) in &*self.places.borrow() {
            if let Some(below) = argument.strip_prefix(here.as_str())
                && (below.is_empty() || below.starts_with('/'))
            {
                return format!("{there}{below}");
            }
        }
        argument.to_owned()
    }

    /// Text with paths here in the place of those there.
    fn as_here(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        let lines = text.split_inclusive('\n');
        lines.map(|line| self.line_as_here(line)).collect()
    }

    fn line_as_here(&self, line: &str) -> String {
        let mut line = line.to_owned();
        let is_json = line
            .trim_start_matches("@nix ")
            .starts_with(['{', '[', '"']);
        for (here, there) in &*self.places.borrow() {
            let (here, there) = if is_json {
                (within_json(here), within_json(there))
            } else {
                (here.clone(), there.clone())
            };
            if line.contains(&there) {
                line = line.replace(&there, &here);
            }
        }
        line
    }

    /// Asks for something that has an answer.
    fn ask(&self, line: &str) -> Result<()> {
        if self.over.get() {
            bail!("the session on `{}` has ended", self.host);
        }
        self.asked.set(true);
        self.send(line.as_bytes())?;
        self.send(b"\n")
    }

    fn send(&self, bytes: &[u8]) -> Result<()> {
        let sent = match lock(&self.to).as_mut() {
            Some(stdin) => self.write(stdin, bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        if sent.is_ok() {
            return Ok(());
        }
        if let Some(interrupted) = self.processes.signal()
            && sent.is_err_and(|error| error.kind() == io::ErrorKind::Interrupted)
        {
            // In the middle of something: nothing that follows would be understood.
            self.over.set(true);
            self.talk.borrow_mut().kill();
            return Err(interrupted.into());
        }
        // What came before says why; who takes nothing and talks on is not heard to an end.
        let until = Instant::now() + ending();
        while self.processes.signal().is_none() && Instant::now() < until {
            self.next(TICK)?;
        }
        Err(self.lost())
    }

    /// Writes all of it, unless a signal comes while the other side takes nothing.
    fn write(&self, stdin: &mut ChildStdin, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(PIECE) {
            while !takes(stdin, TICK)? {
                if self.processes.signal().is_some() {
                    return Err(io::ErrorKind::Interrupted.into());
                }
            }
            stdin.write_all(piece)?;
        }
        stdin.flush()
    }

    /// Says every now and then that this side lives.
    fn keep_beating(&self) {
        let to = Arc::clone(&self.to);
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(BEAT);
                // Where nothing is taken, nothing is said: a write would wait, and others for it.
                let beat = |stdin: &mut ChildStdin| {
                    takes(stdin, Duration::ZERO)
                        .is_ok_and(|takes| !takes || stdin.write_all(b"beat\n").is_ok())
                };
                if !lock(&to).as_mut().is_some_and(beat) {
                    return;
                }
            }
        });
    }

    fn stop_if_asked(&self, stopped: &mut Option<Instant>) -> Result<()> {
        let Some(interrupted) = self.processes.signal() else {
            return Ok(());
        };
        match stopped {
            None => {
                *stopped = Some(Instant::now());
                self.send(b"stop\n")
            }
            // It answers no more; what runs there ends by itself when the connection does.
            Some(since) if since.elapsed() > ending() => {
                self.over.set(true);
                self.talk.borrow_mut().kill();
                Err(interrupted.into())
            }
            Some(_) => Ok(()),
        }
    }

    /// What comes next, if anything does within this time. The end is an error, and so is a problem that
    /// the other side tells of.
    fn next(&self, longest: Duration) -> Result<Option<Message>> {
        let word = self.receive(longest)?;
        if let Some(Message::Stderr(bytes)) = &word {
            self.on_stderr(bytes);
        }
        match word {
            Some(Message::Line(line)) => match line.strip_prefix("problem ") {
                Some(problem) => {
                    self.over.set(true);
                    bail!("`{}` can't go on: {problem}", self.host)
                }
                None => Ok(Some(Message::Line(line))),
            },
            Some(Message::End) => Err(self.lost()),
            other => Ok(other),
        }
    }

    fn receive(&self, longest: Duration) -> Result<Option<Message>> {
        if self.asked.replace(false) {
            self.trips.set(self.trips.get() + 1);
        }
        match self.from.recv_timeout(longest) {
            Ok(word) => Ok(Some(word)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.lost()),
        }
    }

    fn on_stderr(&self, bytes: &[u8]) {
        let mut said = self.said.borrow_mut();
        said.extend_from_slice(bytes);
        let excess = said.len().saturating_sub(SAID);
        said.drain(..excess);
    }

    fn ssh_said(&self) -> String {
        String::from_utf8_lossy(&self.said.borrow()).into_owned()
    }

    /// Why nothing comes any more.
    fn lost(&self) -> anyhow::Error {
        // The other stream may still hold the reason.
        let until = Instant::now() + ending();
        while Instant::now() < until
            && let Ok(word) = self.from.recv_timeout(Duration::from_secs(1))
        {
            if let Message::Stderr(bytes) = word {
                self.on_stderr(&bytes);
            }
        }
        let status = self.talk.borrow_mut().wait(Duration::from_secs(1));
        if status.is_none() {
            self.talk.borrow_mut().kill();
        }
        self.over.set(true);
        if let Some(interrupted) = self.processes.signal() {
            return interrupted.into();
        }
        let said = self.ssh_said();
        if self.hello.borrow().fields.is_empty() {
            if let Some(killed) = status.filter(|status| status.code().is_none()) {
                return anyhow!(
                    "the connection to `{}` did not come about: ssh was killed ({killed})",
                    self.host
                );
            }
            return anyhow!(ssh_error::explain(&self.host, &said, self.forwards));
        }
        // Of what Nix said there is nothing in it that would help.
        let is_noise = |line: &str| line.contains("@nix ") || line.contains(&self.marker);
        let lines = said.lines().filter(|line| !is_noise(line));
        let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(5)..];
        let last: String = last.iter().map(|line| format!("\n  | {line}")).collect();
        let status = status.map_or_else(String::new, |status| format!(" ({status})"));
        anyhow!(
            "the connection to `{}` was lost{status}: what ran there ends by itself, and its folder goes\
             {last}",
            self.host
        )
    }
}

impl Drop for Remote<'_> {
    fn drop(&mut self) {
        if !self.over.get()
            && let Some(stdin) = lock(&self.to).as_mut()
            && takes(stdin, Duration::ZERO).is_ok_and(|takes| takes)
        {
            let _ = stdin.write_all(b"bye\n");
        }
        // The end of stdin means the same to it.
        lock(&self.to).take();
        let start = Instant::now();
        let mut talk = self.talk.borrow_mut();
        if self.hello.borrow().fields.is_empty() {
            talk.kill();
        }
        self.processes
            .note(&format!("{}: {} round trips", self.host, self.trips.get()));
        let was_interrupted = self.processes.signal().is_some();
        while start.elapsed() < ending() && talk.wait(Duration::ZERO).is_none() {
            // Who presses Ctrl-C while it waits for nothing but the end has waited enough.
            if !was_interrupted && self.processes.signal().is_some() {
                talk.kill();
            }
            // What still comes must not hold it up.
            let _ = self.from.recv_timeout(Duration::from_millis(5));
        }
    }
}

/// Whether a pipe takes something, within this time.
fn takes(stdin: &ChildStdin, longest: Duration) -> io::Result<bool> {
    let longest = Timespec::try_from(longest).unwrap_or_default();
    let mut polled = [PollFd::new(stdin, PollFlags::OUT)];
    match poll(&mut polled, Some(&longest)) {
        // By a signal, which another thread may not have noted yet.
        Err(Errno::INTR) => Ok(false),
        found => Ok(found? > 0),
    }
}

/// Words within a string of JSON.
fn within_json(words: &str) -> String {
    let quoted = serde_json::Value::from(words).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_a_number_of_seconds() {
        for (given, seconds) in [
            (None, Some(14)),
            (Some(""), Some(14)),
            (Some("1"), Some(1)),
            (Some("3600"), Some(3600)),
            (Some("0"), None),
            (Some("3601"), None),
            (Some("30s"), None),
            (Some("-1"), None),
            (Some("9999999999999999999"), None),
        ] {
            let found = patience(given.map(OsStr::new));
            let found = found.map(|it| it.as_secs()).map_err(|it| it.to_string());
            match seconds {
                Some(seconds) => assert_eq!(found, Ok(seconds), "{given:?}"),
                None => assert!(found.unwrap_err().contains("from 1 to 3600"), "{given:?}"),
            }
        }
    }
}
