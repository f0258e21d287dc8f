//! A terminal: a pseudo-terminal with a program on it, and an emulator that knows what it shows.

use crate::common::wait_until;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A terminal with a program on it.
pub struct Terminal {
    /// The program.
    pub child: Child,
    master: Option<OwnedFd>,
    seen: Arc<Mutex<Seen>>,
    reader: Option<JoinHandle<()>>,
}

/// What came from the program.
struct Seen {
    parser: vt100::Parser,
    bytes: Vec<u8>,
    /// Each text that the screen showed, when it changed.
    screens: Vec<(Instant, String)>,
}

impl Terminal {
    /// Starts a command whose stdout and stderr are a terminal of this size.
    ///
    /// The terminal is the controlling one, so that Ctrl-C and hanging up work as they do for people.
    pub fn start(command: &Command, rows: u16, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, size(rows, columns)).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = || {
            let path = name.to_str().unwrap();
            fs_err::OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .unwrap()
        };
        let mut on_terminal = Command::new("setsid");
        on_terminal
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args())
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .stdin(Stdio::from(slave().into_parts().0))
            .stdout(Stdio::from(slave().into_parts().0))
            .stderr(Stdio::from(slave().into_parts().0));
        if let Some(folder) = command.get_current_dir() {
            on_terminal.current_dir(folder);
        }
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => on_terminal.env(key, value),
                None => on_terminal.env_remove(key),
            };
        }
        let child = on_terminal.spawn().unwrap();
        drop(on_terminal);
        let seen = Arc::new(Mutex::new(Seen {
            parser: vt100::Parser::new(rows, columns, 10_000),
            bytes: Vec::new(),
            screens: Vec::new(),
        }));
        let reader = read_aside(master.try_clone().unwrap(), Arc::clone(&seen));
        Self {
            child,
            master: Some(master),
            seen,
            reader: Some(reader),
        }
    }

    /// Changes the size of the window.
    pub fn resize(&self, rows: u16, columns: u16) {
        self.seen
            .lock()
            .unwrap()
            .parser
            .screen_mut()
            .set_size(rows, columns);
        tcsetwinsize(self.master.as_ref().unwrap(), size(rows, columns)).unwrap();
    }

    /// Types something; `\x03` is Ctrl-C.
    pub fn type_keys(&self, keys: &[u8]) {
        assert_eq!(
            rustix::io::write(self.master.as_ref().unwrap(), keys),
            Ok(keys.len())
        );
    }

    /// Closes the terminal, as closing its window does.
    pub fn hang_up(mut self) {
        // The last one to hold it is the reader: the process that waits for it ends with the terminal.
        self.master = None;
        let leader = self.child.id();
        let process = rustix::process::Pid::from_raw(i32::try_from(leader).unwrap()).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::HUP).unwrap();
        wait_until(
            "it ends by SIGHUP, which it does not hear below nohup",
            || self.child.try_wait().unwrap().is_some(),
        );
    }

    /// What is on the screen now.
    pub fn screen(&self) -> String {
        self.seen.lock().unwrap().parser.screen().contents()
    }

    /// Every text that was on the screen so far.
    pub fn screens(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.screens.iter().map(|(_, text)| text.clone()).collect()
    }

    /// All bytes that the program wrote.
    pub fn bytes(&self) -> Vec<u8> {
        self.seen.lock().unwrap().bytes.clone()
    }

    /// Waits for the end; the exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let status = self.child.wait().unwrap();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        status.code()
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

fn read_aside(master: OwnedFd, seen: Arc<Mutex<Seen>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        // When the last process has let go of it, reading a terminal is an error.
        while let Ok(length) = rustix::io::read(master.as_fd(), &mut buffer)
            && length > 0
        {
            let mut seen = seen.lock().unwrap();
            seen.bytes.extend(&buffer[..length]);
            seen.parser.process(&buffer[..length]);
            let text = seen.parser.screen().contents();
            if seen.screens.last().is_none_or(|(_, last)| *last != text) {
                seen.screens.push((Instant::now(), text));
            }
        }
    })
}
