//! Starts all processes, from command lines that xshell builds.
//!
//! Children run in process groups of their own, without stdin. SIGINT, SIGTERM and SIGHUP are passed on
//! to those groups, so that a child can clean up before this program ends. A second SIGINT kills.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{
    Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitCode, ExitStatus, Stdio,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use xshell::{Cmd, Shell};

use crate::{platform, terminal};

/// How much is read at once.
const CHUNK: usize = 64 << 10;
/// The size of a pipe that is read as a stream, in bytes: the most that Linux allows without privileges.
const PIPE: usize = 1 << 20;
/// How long the program itself may take to end after the second Ctrl-C.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How long bytes may collect in it.
const GATHER: Duration = Duration::from_millis(5);

/// Starts processes and passes signals on to them.
pub struct Processes {
    shell: Shell,
    verbose: bool,
    running: Arc<Mutex<Running>>,
}

/// The outcome of a process.
#[derive(Debug)]
pub struct Captured {
    /// How it ended.
    pub status: ExitStatus,
    /// Its stdout; bytes that are not UTF-8 replaced.
    pub stdout: String,
    /// Its stderr; bytes that are not UTF-8 replaced.
    pub stderr: String,
    /// The command line, for messages.
    pub command: String,
}

impl Captured {
    /// Its stdout; a failure of the command is an error with its stderr.
    pub fn success(self) -> Result<String> {
        ensure!(
            self.status.success(),
            "`{}` failed ({}):\n{}",
            self.command,
            self.status,
            self.stderr.trim_end()
        );
        Ok(self.stdout)
    }
}

/// What comes of one of several processes.
#[derive(Clone, Copy, Debug)]
pub enum Output<'a> {
    /// Some of what it wrote.
    Bytes(&'a [u8]),
    /// Nothing new of any: time to look at the world.
    Pause,
    /// It ended.
    End(ExitStatus),
}

/// What [`Processes::stream`] passes on.
#[derive(Debug)]
pub enum Input<'a> {
    /// A piece of stderr.
    Bytes(&'a [u8]),
    /// No input for the moment: time to update the display.
    Pause,
}

/// The error of a run that a signal interrupted.
#[derive(Debug)]
pub struct Interrupted {
    /// The signal's number.
    pub signal: i32,
}

#[derive(Default)]
struct Running {
    /// Leaders of the running process groups.
    groups: BTreeSet<i32>,
    /// Processes in this program's own group, the foreground group of the terminal.
    foreground: BTreeSet<i32>,
    /// Leaders of process groups that get a message to end, and no signal but SIGKILL.
    conversations: BTreeSet<i32>,
    /// The first signal that was received.
    signal: Option<i32>,
}

impl Processes {
    /// Takes over SIGINT, SIGTERM and, unless `nohup` had it ignored, SIGHUP for the rest of the run.
    ///
    /// With `verbose` each command line is printed before it runs. Orphaned descendants become children of
    /// this process, so that it can find them.
    pub fn new(verbose: bool) -> Result<Self> {
        platform::adopt_orphans().context("becoming a subreaper")?;
        let shell = Shell::new().context("finding the current folder")?;
        let mut handled = vec![SIGINT, SIGTERM];
        if !platform::ignores_hangups() {
            handled.push(SIGHUP);
        }
        let mut signals = Signals::new(handled).context("registering signal handlers")?;
        let running = Arc::new(Mutex::new(Running::default()));
        let shared = Arc::clone(&running);
        std::thread::spawn(move || {
            for signal in signals.forever() {
                if pass_on(&mut lock(&shared), signal) {
                    std::thread::sleep(LAST_WORDS);
                    // Something holds it up that is no process: a file that can't be read, say.
                    std::process::exit(128 + signal);
                }
            }
        });
        Ok(Self {
            shell,
            verbose,
            running,
        })
    }

    /// The signal that was received and not acknowledged yet, if any.
    pub fn signal(&self) -> Option<Interrupted> {
        lock(&self.running)
            .signal
            .map(|signal| Interrupted { signal })
    }

    /// A command line to add arguments to.
    pub fn cmd(&self, program: &str) -> Cmd<'_> {
        self.shell.cmd(program)
    }

    /// The signal that was received, if any; from now on processes may start again, to clean up.
    pub fn acknowledge(&self) -> Option<Interrupted> {
        lock(&self.running)
            .signal
            .take()
            .map(|signal| Interrupted { signal })
    }

    /// Runs a command to its end and returns its output, also if it failed.
    pub fn capture(&self, command: Cmd<'_>) -> Result<Captured> {
        let (text, command) = self.prepare(command);
        finish(&self.running, self.start(command, &text)?, text)
    }

    /// The same for a command that asks a machine of others: it is killed after `longest`, or when it wrote
    /// more than `most` bytes to stdout.
    pub fn capture_within(
        &self,
        command: Cmd<'_>,
        longest: Duration,
        most: u64,
    ) -> Result<Captured> {
        let (text, mut command) = self.prepare(command);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn(command, &text)?;
        // Whose reader is gone is ended by the pipe.
        let stdout = child
            .stdout
            .take()
            .map(|it| read_in_background(it.take(most + 1)));
        let stderr = child
            .stderr
            .take()
            .map(|it| read_in_background(it.take(most.max(1 << 16))));
        let start = Instant::now();
        let mut is_late = false;
        while let Ok(None) = child.try_wait() {
            is_late = start.elapsed() > longest;
            if is_late {
                signal_group(child_id(&child), Signal::KILL);
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let reading = Reading {
            child,
            stdout,
            stderr,
        };
        let captured = finish(&self.running, reading, text)?;
        ensure!(
            !is_late,
            "`{}` did not end within {} s",
            captured.command,
            longest.as_secs()
        );
        ensure!(
            captured.stdout.len() as u64 <= most,
            "`{}` wrote more than {most} bytes",
            captured.command
        );
        Ok(captured)
    }

    /// Runs commands in parallel; results in the order of the commands.
    pub fn capture_all(&self, commands: Vec<Cmd<'_>>) -> Result<Vec<Captured>> {
        let mut children = Vec::new();
        let mut failure = None;
        for command in commands {
            let (text, command) = self.prepare(command);
            match self.start(command, &text) {
                Ok(child) => children.push((child, text)),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        // Wait for those that did start, also after a failure.
        let captured: Vec<Result<Captured>> = children
            .into_iter()
            .map(|(child, text)| finish(&self.running, child, text))
            .collect();
        match failure {
            Some(error) => Err(error),
            None => captured.into_iter().collect(),
        }
    }

    /// Runs a command and passes on its stderr as it arrives, and a pause whenever there is no more, at
    /// least every `tick`.
    ///
    /// An error of `on_input` ends the process and is returned. If the process is killed, what it left
    /// running is killed, too.
    pub fn stream(
        &self,
        command: Cmd<'_>,
        tick: Duration,
        mut on_input: impl FnMut(Input<'_>) -> Result<()>,
    ) -> Result<ExitStatus> {
        let mut end = None;
        self.stream_all(vec![command], tick, |_, output| {
            match output {
                Output::Bytes(bytes) => on_input(Input::Bytes(bytes))?,
                Output::Pause => on_input(Input::Pause)?,
                Output::End(status) => {
                    end = Some(status);
                    on_input(Input::Pause)?;
                }
            }
            Ok(Vec::new())
        })?;
        end.context("a process without an end")
    }

    /// Runs commands beside each other and passes on their stderr as [`Processes::stream`] does, with the number of
    /// the command that it is from, counted from zero.
    ///
    /// When one ends, `on_output` may give more of them, which are started then. An error of it ends all.
    ///
    /// nix-build writes each line by itself. Waking up for each costs both sides more than the lines do, so bytes
    /// collect for a moment first.
    pub fn stream_all<'c>(
        &self,
        first: Vec<Cmd<'c>>,
        tick: Duration,
        mut on_output: impl FnMut(usize, Output<'_>) -> Result<Vec<Cmd<'c>>>,
    ) -> Result<()> {
        let mut running = Vec::new();
        let outcome = self.drive(&mut running, first, tick, &mut on_output);
        for it in &running {
            signal_group(child_id(&it.child), Signal::TERM);
        }
        for mut it in running {
            let status = wait(&self.running, &mut it.child, &it.text)?;
            if status.signal().is_some() {
                self.kill_orphans();
            }
        }
        outcome
    }

    /// Passes on what commands write until the last one ended; `running` has those that did not.
    fn drive<'c>(
        &self,
        running: &mut Vec<Streamed>,
        mut next: Vec<Cmd<'c>>,
        tick: Duration,
        on_output: &mut impl FnMut(usize, Output<'_>) -> Result<Vec<Cmd<'c>>>,
    ) -> Result<()> {
        let mut chunk = vec![0; PIPE];
        let tick = Timespec::try_from(tick).context("the time between two looks at a process")?;
        let now = Timespec::default();
        let (mut count, mut pause) = (0, now);
        loop {
            for command in next.drain(..) {
                let (text, mut command) = self.prepare(command);
                command.stdout(Stdio::null()).stderr(Stdio::piped());
                let mut child = self.spawn(command, &text)?;
                let stderr = child.stderr.take().context("a process without stderr")?;
                running.push(Streamed {
                    number: count,
                    // Where a larger one is not allowed it stays as it is.
                    capacity: platform::enlarge_pipe(&stderr, PIPE).unwrap_or(CHUNK),
                    child,
                    stderr,
                    text,
                });
                count += 1;
            }
            if running.is_empty() {
                return Ok(());
            }
            let streams = running.iter();
            let mut ready: Vec<_> = streams
                .map(|it| PollFd::new(&it.stderr, PollFlags::IN))
                .collect();
            match poll(&mut ready, Some(&pause)) {
                Ok(0) => {
                    next = on_output(0, Output::Pause)?;
                    pause = tick;
                    continue;
                }
                Err(Errno::INTR) => continue,
                Ok(_) => pause = now,
                Err(error) => return Err(error).context("waiting for processes"),
            }
            let are_ready: Vec<bool> = ready.iter().map(|it| !it.revents().is_empty()).collect();
            let mut is_filling = false;
            // From the last, so that the places of those before it stay.
            for at in (0..are_ready.len()).rev().filter(|&at| are_ready[at]) {
                let it = &mut running[at];
                let length = match it.stderr.read(&mut chunk) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    other => {
                        other.with_context(|| format!("reading the output of `{}`", it.text))?
                    }
                };
                is_filling |= length >= it.capacity / 4;
                if length > 0 {
                    next.extend(on_output(it.number, Output::Bytes(&chunk[..length]))?);
                    continue;
                }
                let mut it = running.remove(at);
                let status = wait(&self.running, &mut it.child, &it.text)?;
                if status.signal().is_some() {
                    self.kill_orphans();
                }
                next.extend(on_output(it.number, Output::End(status))?);
            }
            // Never so long that a pipe fills up.
            if !is_filling {
                std::thread::sleep(GATHER);
            }
        }
    }

    /// Kills what killed children left running.
    ///
    /// They are children of this process now (see [`Processes::new`]).
    fn kill_orphans(&self) {
        let running = lock(&self.running);
        let own = BTreeSet::from([getpid().as_raw_nonzero().get()]);
        // Where there is no /proc there are no orphans either.
        let parents = platform::parents();
        let known = [&running.groups, &running.foreground, &running.conversations];
        let known: BTreeSet<i32> = known.into_iter().flatten().copied().collect();
        let kept = descendants(&parents, &known);
        for process in descendants(&parents, &own) {
            if !known.contains(&process)
                && !kept.contains(&process)
                && let Some(process) = Pid::from_raw(process)
            {
                let _ = kill_process(process, Signal::KILL);
            }
        }
    }

    /// Runs a command in the foreground, on this program's terminal; a failure is an error.
    pub fn foreground(&self, command: Cmd<'_>) -> Result<()> {
        let (text, mut command) = self.prepare(command);
        terminal::say(format!("$ {text}"));
        let mut child = self.launch(&mut command, &text, |running| &mut running.foreground)?;
        let status = child.wait();
        lock(&self.running).foreground.remove(&child_id(&child));
        let status = status.with_context(|| format!("waiting for `{text}`"))?;
        if let Some(interrupted) = self.signal() {
            return Err(interrupted.into());
        }
        ensure!(status.success(), "`{text}` failed: {status}");
        Ok(())
    }

    /// Starts a program that outlives this one, such as a browser.
    pub fn detach(&self, command: Cmd<'_>) -> Result<()> {
        let (text, mut command) = self.prepare(command);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        let started = command.stderr(Stdio::null()).process_group(0).spawn();
        started.map_err(|error| cannot_start(error, &text))?;
        Ok(())
    }

    /// Starts a process to exchange messages with. Signals are not passed on to it, because a message tells
    /// it to end; a second SIGINT kills it.
    pub fn converse(&self, command: Cmd<'_>) -> Result<Conversation> {
        let (text, mut command) = self.prepare(command);
        command.stdin(Stdio::piped()).process_group(0);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Conversation {
            child: self.launch(&mut command, &text, |running| &mut running.conversations)?,
            running: Arc::clone(&self.running),
        })
    }

    fn prepare(&self, command: Cmd<'_>) -> (String, Command) {
        let text = command.to_string();
        self.note(&text);
        (text, command.into())
    }

    /// Prints a command line, if verbose.
    pub fn note(&self, text: &str) {
        if self.verbose {
            terminal::say(format!("$ {text}"));
        }
    }

    fn start(&self, mut command: Command, text: &str) -> Result<Reading> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn(command, text)?;
        let stdout = child.stdout.take().map(read_in_background);
        let stderr = child.stderr.take().map(read_in_background);
        Ok(Reading {
            child,
            stdout,
            stderr,
        })
    }

    fn spawn(&self, mut command: Command, text: &str) -> Result<Child> {
        command.stdin(Stdio::null()).process_group(0);
        self.launch(&mut command, text, |running| &mut running.groups)
    }

    /// Starts a process and adds it to a set of the running ones; an error after a signal.
    fn launch(
        &self,
        command: &mut Command,
        text: &str,
        set: impl FnOnce(&mut Running) -> &mut BTreeSet<i32>,
    ) -> Result<Child> {
        // Locked while it starts: a signal is handled either before (nothing starts) or after (it is
        // passed on), never in between.
        let mut running = lock(&self.running);
        if let Some(signal) = running.signal {
            return Err(Interrupted { signal }.into());
        }
        let child = command.spawn().map_err(|error| cannot_start(error, text))?;
        set(&mut running).insert(child_id(&child));
        Ok(child)
    }
}

/// A process to exchange messages with; it is killed when this is dropped.
pub struct Conversation {
    child: Child,
    running: Arc<Mutex<Running>>,
}

impl Conversation {
    /// Its stdin, stdout and stderr; each can be taken once.
    pub fn streams(&mut self) -> Option<(ChildStdin, ChildStdout, ChildStderr)> {
        Some((
            self.child.stdin.take()?,
            self.child.stdout.take()?,
            self.child.stderr.take()?,
        ))
    }

    /// How it ended, if it does within this time.
    pub fn wait(&mut self, longest: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(None) if start.elapsed() < longest => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Ok(status) => return status,
                Err(_) => return None,
            }
        }
    }

    /// Kills it, unless it ended already.
    pub fn kill(&mut self) {
        if self.wait(Duration::ZERO).is_none() {
            signal_group(child_id(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.kill();
        lock(&self.running)
            .conversations
            .remove(&child_id(&self.child));
    }
}

/// A process whose stderr is passed on beside that of others.
struct Streamed {
    number: usize,
    /// Of its pipe, in bytes.
    capacity: usize,
    child: Child,
    stderr: ChildStderr,
    text: String,
}

/// A process whose output is read by threads.
struct Reading {
    child: Child,
    stdout: Option<JoinHandle<io::Result<Vec<u8>>>>,
    stderr: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

/// The first file of this name on PATH.
pub fn find_program(name: &str) -> Option<Utf8PathBuf> {
    let path = std::env::var("PATH").ok()?;
    let folders = path.split(':').filter(|folder| !folder.is_empty());
    folders
        .map(|folder| Utf8Path::new(folder).join(name))
        .find(|file| file.is_file())
}

/// Whether an error says that a program was not found.
pub fn is_missing_program(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn cannot_start(error: io::Error, text: &str) -> anyhow::Error {
    let message = if error.kind() == io::ErrorKind::NotFound {
        format!("cannot start `{text}`: the program is not on PATH")
    } else {
        format!("cannot start `{text}`")
    };
    anyhow::Error::new(error).context(message)
}

fn read_in_background(mut stream: impl Read + Send + 'static) -> JoinHandle<io::Result<Vec<u8>>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    })
}

fn finish(running: &Mutex<Running>, mut reading: Reading, text: String) -> Result<Captured> {
    let collect = |thread: Option<JoinHandle<io::Result<Vec<u8>>>>| -> Result<String> {
        let Some(thread) = thread else {
            return Ok(String::new());
        };
        let bytes = thread
            .join()
            .map_err(|_| anyhow!("the thread that read the output of `{text}` panicked"))?
            .with_context(|| format!("reading the output of `{text}`"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let stdout = collect(reading.stdout);
    let stderr = collect(reading.stderr);
    let status = wait(running, &mut reading.child, &text)?;
    if let Some(signal) = lock(running).signal {
        return Err(Interrupted { signal }.into());
    }
    Ok(Captured {
        status,
        stdout: stdout?,
        stderr: stderr?,
        command: text,
    })
}

fn wait(running: &Mutex<Running>, child: &mut Child, text: &str) -> Result<ExitStatus> {
    let status = child
        .wait()
        .with_context(|| format!("waiting for `{text}`"));
    lock(running).groups.remove(&child_id(child));
    status
}

fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

fn child_id(child: &Child) -> i32 {
    // Process ids fit: Linux allows at most 2^22.
    i32::try_from(child.id()).unwrap_or(i32::MAX)
}

/// Passes a signal on to what runs; whether it is the second Ctrl-C, upon which the program is to end.
fn pass_on(running: &mut Running, signal: i32) -> bool {
    let again = running.signal.is_some();
    running.signal.get_or_insert(signal);
    if again && signal == SIGINT {
        let conversations = running.conversations.iter();
        kill_with_descendants(
            &running
                .groups
                .iter()
                .chain(conversations)
                .copied()
                .collect(),
        );
        return true;
    }
    let Some(signal) = Signal::from_named_raw(signal) else {
        return false;
    };
    for group in &running.groups {
        signal_group(*group, signal);
    }
    // The terminal sends Ctrl-C to these itself; a second one does no harm.
    for process in running.foreground.iter().copied().filter_map(Pid::from_raw) {
        let _ = kill_process(process, signal);
    }
    false
}

fn signal_group(leader: i32, signal: Signal) {
    if let Some(group) = Pid::from_raw(leader) {
        // It may have ended meanwhile.
        let _ = kill_process_group(group, signal);
    }
}

/// Kills process groups and their descendants.
///
/// Nix's builders run in sessions of their own and outlive a killed nix-build (seen with 2.8), so they
/// are found by their ancestors, which are stopped first so that they start nothing meanwhile.
fn kill_with_descendants(leaders: &BTreeSet<i32>) {
    for leader in leaders {
        signal_group(*leader, Signal::STOP);
    }
    let descendants = descendants(&parents(), leaders);
    for leader in leaders {
        signal_group(*leader, Signal::KILL);
    }
    for process in descendants {
        if let Some(process) = Pid::from_raw(process) {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

/// Each process and its parent; on systems without /proc, as macOS, `ps` knows.
#[expect(
    clippy::disallowed_methods,
    reason = "it runs while signals are handled, when nothing else may be started"
)]
fn parents() -> BTreeMap<i32, i32> {
    let parents = platform::parents();
    if !parents.is_empty() {
        return parents;
    }
    let listed = Command::new("ps")
        .args(["-A", "-o", "pid=,ppid="])
        .stdin(Stdio::null())
        .output();
    parents_in_ps(&String::from_utf8_lossy(
        &listed.map(|output| output.stdout).unwrap_or_default(),
    ))
}

fn parents_in_ps(listed: &str) -> BTreeMap<i32, i32> {
    let pair = |line: &str| {
        let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    listed.lines().filter_map(pair).collect()
}

fn descendants(parents: &BTreeMap<i32, i32>, roots: &BTreeSet<i32>) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    loop {
        let more: Vec<i32> = parents
            .iter()
            .filter(|(process, parent)| {
                !found.contains(*process) && (roots.contains(parent) || found.contains(*parent))
            })
            .map(|(process, _)| *process)
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

impl Interrupted {
    /// The exit code that shells report for a program that a signal ended.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::try_from(128 + self.signal).unwrap_or(u8::MAX))
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.signal {
            SIGINT => "SIGINT",
            SIGTERM => "SIGTERM",
            SIGHUP => "SIGHUP",
            _ => return write!(f, "interrupted by signal {}", self.signal),
        };
        write!(f, "interrupted by {name}")
    }
}

impl std::error::Error for Interrupted {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_read_from_ps() {
        let listed = "    1     0\n  316     1\n\n99316   316\n  PID  PPID\n";
        assert_eq!(
            parents_in_ps(listed),
            BTreeMap::from([(1, 0), (316, 1), (99316, 316)])
        );
    }

    #[test]
    fn descendants_are_found_through_generations() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 3), (5, 1), (6, 6)]);
        assert_eq!(
            descendants(&parents, &BTreeSet::from([2])),
            BTreeSet::from([3, 4])
        );
        assert_eq!(descendants(&parents, &BTreeSet::from([9])), BTreeSet::new());
    }
}
