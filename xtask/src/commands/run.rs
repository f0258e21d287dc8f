//! `cargo xtask run`: starts what was built, with all that it needs, and ends it.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::build::display::{Display, Mode, View, glance, labelled};
use crate::build::options::{Options, SourceArgs};
use crate::build::session;
use crate::build::site::Built;
use crate::machine::sandbox_probe::sandbox_problem;
use crate::nix::Machine;
use crate::remote::{Forward, owner};
use crate::service::{Event, Events, Parts};
use nix_formats::log;
use sys::platform;
use sys::process::{Input, Interrupted, Processes};
use sys::terminal;

/// The component that starts a container's service.
const SERVICE: &str = "service";
/// Its program.
const PROGRAM: &str = "bin/service";
/// The longest time between two drawings.
const TICK: Duration = Duration::from_millis(100);

/// Build and start a service, with a database of its own
///
/// Builds the component `service` of a container, unless it is built, and starts PostgreSQL, migrations,
/// server and worker. When the service is ready, its address, a user and the password are printed, and
/// then the logs of its parts. Ctrl-C stops all parts in order, a second one kills them; nothing keeps
/// running. The data are kept for the next run.
///
/// Services run on Linux. With `--on HOST` the service is built and runs on another machine, and its port
/// is forwarded to this one over the ssh connection. That is one of its own, for which ssh needs a key: a
/// connection that is open already (`ControlMaster`) is not used. As root, all parts run as user 65534, which
/// needs access to the folder of the data.
///
/// Exit codes: 1 a part failed, 2 could not run, 129, 130 or 143 ended by SIGHUP, SIGINT or SIGTERM.
///
/// Example: `cargo xtask run --sample --open`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Args {
    /// The container whose service to start [default: the only one with a service]
    #[arg(value_name = "CONTAINER")]
    container: Option<String>,
    #[command(flatten)]
    from: SourceArgs,
    /// Run the container image with podman or docker, as it will be deployed
    #[arg(long)]
    image: bool,
    /// Port of 127.0.0.1 to listen on
    #[arg(long, value_name = "N", default_value_t = 9000, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Folder of the data [default: target/run/NAME; on another machine a folder in the user's
    /// state]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    data: Option<Utf8PathBuf>,
    /// Delete the data of earlier runs first
    #[arg(long)]
    fresh: bool,
    /// Open the address in a browser when it is ready
    #[arg(long)]
    open: bool,
    /// Show command lines, and logs from the start
    #[arg(short, long)]
    verbose: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let of_container = |component: &str| match &args.container {
        Some(container) => format!("{}/{component}", container.trim_end_matches('/')),
        None => component.to_owned(),
    };
    let mut components = vec![of_container(SERVICE)];
    if args.image {
        components.push(of_container("image"));
    }
    let on_port = check_port(args.port)?;
    let options = Options {
        from: args.from.clone(),
        components,
        no_tests: true,
        verbose: args.verbose,
        forward: Some(Forward {
            here: args.port,
            there: on_port,
        }),
        ..Options::default()
    };
    session::build(
        &options,
        sandbox_problem,
        Some(&mut |built| start(args, on_port, built)),
    )
}

/// Makes sure that a port of this machine is free; one that may be free on another.
fn check_port(port: u16) -> Result<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
        format!("port {port} of 127.0.0.1 can't be listened on: `--port N` takes another")
    })?;
    // Above those that are given out below, below those that are given out to whoever asks for any.
    let seed = std::process::id() ^ u32::from(port);
    Ok(20_000 + u16::try_from(seed % 10_000).unwrap_or_default())
}

/// Starts the service that was built and follows it to its end.
fn start(args: &Args, on_port: u16, built: &Built<'_>) -> Result<ExitCode> {
    let service = built.out(SERVICE).context("a service was built")?;
    let port = match built.machine {
        Machine::Here(_) => args.port,
        Machine::There(_) => on_port,
    };
    let data = data_folder(args, built)?;
    let program = Utf8Path::new(service).join(PROGRAM);
    let mut command = built.machine.cmd(program.as_str()).args([
        "--data",
        data.as_str(),
        "--port",
        &port.to_string(),
    ]);
    if args.fresh {
        command = command.arg("--fresh");
    }
    if let Some(image) = built.out("image").filter(|_| args.image) {
        command = command.args(["--image", image]);
    }
    let mut screen = Screen::new(args, built);
    let mut events = Events::default();
    let status = built.machine.stream(command, TICK, |input| {
        match input {
            Input::Bytes(bytes) => {
                for event in events.push(bytes) {
                    screen.take(event)?;
                }
            }
            Input::Pause => screen.refresh(),
        }
        Ok(())
    });
    if let Some(event) = events.finish() {
        screen.take(event)?;
    }
    screen.display.finish();
    let interrupted = built.processes.acknowledge();
    finish(status, interrupted, &screen.errors)
}

/// Says how it ended.
fn finish(
    status: Result<ExitStatus>,
    interrupted: Option<Interrupted>,
    errors: &[String],
) -> Result<ExitCode> {
    for error in errors {
        terminal::say(format!("error: {error}"));
    }
    if let Some(interrupted) = interrupted {
        terminal::say(interrupted.to_string());
        return Ok(interrupted.exit_code());
    }
    let status = status?;
    match status.code() {
        Some(1) => Ok(ExitCode::from(1)),
        Some(2) if !errors.is_empty() => Ok(ExitCode::from(2)),
        _ => bail!("what starts the service ended ({status})"),
    }
}

/// Whether somebody answers on a port; ssh listens also where the other side lets nobody through.
fn is_answered(port: u16) -> bool {
    let ask = || -> io::Result<usize> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"HEAD / HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        stream.read(&mut [0; 64])
    };
    match ask() {
        Ok(length) => length > 0,
        // It is slow, but there.
        Err(error) => matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
        ),
    }
}

fn not_forwarded(port: u16) -> String {
    format!(
        "ssh does not forward port {port} of 127.0.0.1: the sshd over there has to allow it \
         (AllowTcpForwarding)"
    )
}

/// The address of this machine's port with the path of one that was said. A program is called with it, which
/// opens much more than pages, and another machine may say anything.
fn address_here(said: &str, port: u16) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~?&=%#".contains(c);
    let path = said
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'))
        .map_or("", |(_, path)| path);
    let path = if path.chars().all(plain) { path } else { "" };
    format!("http://127.0.0.1:{port}/{path}")
}

/// Where the data of this service are kept.
fn data_folder(args: &Args, built: &Built<'_>) -> Result<Utf8PathBuf> {
    let name = match built.kind {
        "" => built.container.clone(),
        kind => format!("{}-{kind}", built.container),
    };
    match (&args.data, built.machine) {
        (Some(folder), Machine::Here(_)) if folder.is_relative() => {
            let current = std::env::current_dir().context("finding the current folder")?;
            let current = Utf8PathBuf::from_path_buf(current);
            let Ok(current) = current else {
                bail!("the current folder is not UTF-8: give `--data` from the root on")
            };
            Ok(current.join(folder))
        }
        (Some(folder), Machine::There(remote)) if folder.is_relative() => bail!(
            "`--data {folder}` is on `{}`: give it from the root on",
            remote.host()
        ),
        (Some(folder), _) => Ok(folder.clone()),
        (None, Machine::Here(_)) => Ok(built.repo.run_data(&name)),
        (None, Machine::There(remote)) => {
            let hello = remote.hello();
            // Nobody else enters the home of root.
            let state = if hello.get("USER") == Some("root") {
                "/var/lib".into()
            } else if let Some(state) = hello.get("XDG_STATE_HOME") {
                Utf8PathBuf::from(state)
            } else {
                Utf8Path::new(hello.get("HOME").unwrap_or("/")).join(".local/state")
            };
            Ok(state
                .join("xtask/run")
                .join(owner(&built.repo.root, &built.repo.state()))
                .join(name))
        }
    }
}

/// What is seen of a service.
struct Screen<'a> {
    args: &'a Args,
    processes: &'a Processes,
    /// The port here, if another machine listens on another.
    forwarded: Option<Forward>,
    display: Display,
    parts: Parts,
    start: Instant,
    is_ready: bool,
    errors: Vec<String>,
}

impl<'a> Screen<'a> {
    fn new(args: &'a Args, built: &Built<'a>) -> Self {
        Self {
            args,
            processes: built.processes,
            forwarded: built.forward,
            display: Display::new(Mode::choose(false)),
            parts: Parts::default(),
            start: Instant::now(),
            is_ready: false,
            errors: Vec::new(),
        }
    }

    fn take(&mut self, event: Event) -> Result<()> {
        let now = Instant::now();
        match event {
            Event::Part { part, state } => {
                if let Some(time) = self.parts.note(&part, &state, now)
                    && !self.is_ready
                {
                    self.label(&part, &format!("ready after {}", glance(time)));
                }
            }
            Event::Log { part, line } => {
                self.parts.said(&part, &line, now);
                let shown = self.is_ready || self.args.verbose;
                if shown || self.display.mode() == Mode::Plain {
                    self.label(&part, &line);
                }
            }
            Event::Ready {
                address,
                user,
                password,
            } => {
                self.is_ready = true;
                self.display.finish();
                self.ready(&address, &user, &password)?;
            }
            Event::Error { message } => self.errors.push(log::plain(&message).into_owned()),
            Event::Other(line) => {
                if let Some(forward) = self.forwarded
                    && line.contains("open failed: administratively prohibited")
                {
                    bail!(not_forwarded(forward.here));
                }
                self.label("run", &line);
            }
        }
        Ok(())
    }

    fn ready(&mut self, address: &str, user: &str, password: &str) -> Result<()> {
        let address = address_here(address, self.args.port);
        if let Some(Forward { here, .. }) = self.forwarded
            && !is_answered(here)
        {
            bail!(not_forwarded(here));
        }
        let time = glance(self.start.elapsed());
        terminal::emit(&format!("ready after {time}: {address}"))?;
        terminal::emit(&format!("user: {user}  password: {password}"))?;
        if self.args.open
            && let Err(error) = self
                .processes
                .detach(self.processes.cmd(platform::OPEN_PROGRAM).arg(&address))
        {
            terminal::say(format!("`--open`: {error:#}"));
        }
        Ok(())
    }

    fn label(&mut self, part: &str, line: &str) {
        let colours = self.display.mode() == Mode::Live;
        let line = if line.is_empty() { " " } else { line };
        self.display
            .line(&labelled(&log::plain(part), line, colours));
    }

    fn refresh(&mut self) {
        let (parts, start, is_ready) = (&self.parts, self.start, self.is_ready);
        self.display.refresh(|| {
            if is_ready {
                View {
                    totals: Some(String::new()),
                    ..Default::default()
                }
            } else {
                parts.view(start, Instant::now())
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_leads_elsewhere() {
        for (said, path) in [
            ("http://127.0.0.1:20001/if/flow/x/?a=b", "if/flow/x/?a=b"),
            ("http://127.0.0.1:20001", ""),
            ("https://elsewhere.example/login", "login"),
            ("http://127.0.0.1:9000@elsewhere.example/login", "login"),
            ("http://127.0.0.1:20001/a b", ""),
            ("http://127.0.0.1:20001/\u{202e}", ""),
            ("file:///etc/passwd", "etc/passwd"),
            ("-a/Applications/Calculator.app", ""),
            ("", ""),
        ] {
            let address = address_here(said, 9000);
            assert_eq!(address, format!("http://127.0.0.1:9000/{path}"), "{said}");
        }
    }
}
