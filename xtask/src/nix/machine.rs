//! The machine that commands of Nix run on: this one, or another over ssh.

use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use xshell::Cmd;

use crate::remote::{Mode, Remote};
use sys::process::{Captured, Input, Processes};

/// Where commands of Nix run.
#[derive(Clone, Copy)]
pub enum Machine<'a> {
    /// On this machine.
    Here(&'a Processes),
    /// On another.
    There(&'a Remote<'a>),
}

impl<'a> From<&'a Processes> for Machine<'a> {
    fn from(processes: &'a Processes) -> Self {
        Self::Here(processes)
    }
}

impl<'a> From<&'a Remote<'a>> for Machine<'a> {
    fn from(remote: &'a Remote<'a>) -> Self {
        Self::There(remote)
    }
}

impl<'a> Machine<'a> {
    /// A path of this machine as the one that runs commands knows it.
    pub fn path(self, path: &Utf8Path) -> Utf8PathBuf {
        match self {
            Self::Here(_) => path.to_owned(),
            Self::There(remote) => remote.as_there(path.as_str()).into(),
        }
    }

    /// A command line to add arguments to.
    pub fn cmd(self, program: &str) -> Cmd<'a> {
        match self {
            Self::Here(processes) => processes.cmd(program),
            Self::There(remote) => remote.processes().cmd(program),
        }
    }

    /// As [`Processes::capture`].
    pub fn capture(self, command: Cmd<'_>) -> Result<Captured> {
        match self {
            Self::Here(processes) => processes.capture(command),
            Self::There(remote) => remote.capture(command),
        }
    }

    /// As [`Processes::capture_all`].
    pub fn capture_all(self, commands: Vec<Cmd<'_>>) -> Result<Vec<Captured>> {
        match self {
            Self::Here(processes) => processes.capture_all(commands),
            Self::There(remote) => remote.run(Mode::All, commands),
        }
    }

    /// As [`Processes::stream`].
    pub fn stream(
        self,
        command: Cmd<'_>,
        tick: Duration,
        on_input: impl FnMut(Input<'_>) -> Result<()>,
    ) -> Result<ExitStatus> {
        match self {
            Self::Here(processes) => processes.stream(command, tick, on_input),
            Self::There(remote) => remote.stream(command, tick, on_input),
        }
    }
}
