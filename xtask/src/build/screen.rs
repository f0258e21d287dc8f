//! Passes the events of a build on to the live display, which display.rs draws, and to the log files.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use camino::Utf8Path;

use crate::build::display::{self, Display, Mode};
use crate::build::logs::Logs;
use crate::build::model::{Effect, Run, names_phase};
use crate::build::on_host;
use crate::nix;
use crate::remote::Remote;
use nix_formats::log::{Event, beginning};
use nix_formats::store_path;
use sys::scratch::Scratch;

/// How much of a builder's line is shown, in bytes; the log has it whole.
const SHOWN: usize = 10_000;

/// The screen and the log files.
pub struct Screen<'a> {
    pub display: Display,
    pub logs: Logs,
    pub verbose: bool,
    pub scratch: Option<Scratch>,
    /// The machine that builds, if it is another.
    pub remote: Option<&'a Remote<'a>>,
    /// Whether build folders are where it looks, and go when builds fail.
    pub tells_folders: bool,
    /// Outputs that are known to be there, in the end.
    pub there: BTreeSet<String>,
}

impl Screen<'_> {
    /// Takes an event into the model, shows and logs what it said.
    pub fn take(&mut self, event: Event<'_>, run: &mut Run, at: Duration) -> Result<()> {
        match run.apply(event, at) {
            Some(said) => self.show(said, run, at),
            None => Ok(()),
        }
    }

    fn show(&mut self, said: Effect<'_>, run: &mut Run, at: Duration) -> Result<()> {
        match said {
            Effect::Starts { drv } => {
                match self.remote {
                    None => run.note_derivation(&drv, nix::outputs_of(&drv)),
                    Some(remote) => remote.ask_outputs(&drv)?,
                }
                self.logs.start(&drv)?;
                if self.shows_lines() {
                    self.labelled(run.label(&drv), &format!("building {drv}"));
                }
            }
            Effect::Log { drv, line } => {
                self.logs.line(&drv, &line)?;
                if self.shows_lines() && !names_phase(&line, run.phase(&drv)) {
                    // A line that a builder left empty is a line.
                    let line = if line.is_empty() { " " } else { &*line };
                    self.labelled(run.label(&drv), line);
                }
            }
            Effect::Phase { drv, phase } => {
                let line = format!("[{phase}]");
                self.logs.line(&drv, &line)?;
                if self.shows_lines() {
                    self.labelled(run.label(&drv), &line);
                }
            }
            Effect::Ends { drv } => {
                self.logs.end(&drv)?;
                self.note_ends(run, at);
            }
            Effect::Counts => self.note_ends(run, at),
            Effect::Failed { drv, text } => {
                if self.shows_lines() {
                    self.labelled("nix", &format!("error: {text}"));
                }
                self.ended(run, &drv);
            }
            Effect::Nix { detail, text } => {
                if self.verbose || (!detail && self.display.mode() == Mode::Plain) {
                    self.labelled("nix", &text);
                }
            }
        }
        Ok(())
    }

    fn shows_lines(&self) -> bool {
        self.verbose || self.display.mode() == Mode::Plain
    }

    fn labelled(&mut self, label: &str, text: &str) {
        let colours = self.display.mode() == Mode::Live;
        self.display
            .line(&display::labelled(label, beginning(text, SHOWN), colours));
    }

    pub fn note_ends(&mut self, run: &mut Run, at: Duration) {
        let exists = |out: &str| match self.remote {
            None => Utf8Path::new(out).exists(),
            Some(remote) => remote.was_there(out) || self.there.contains(out),
        };
        let gone = |drv: &str| match (self.remote, &self.scratch) {
            (Some(remote), _) => self.tells_folders && on_host::folder_is_gone(remote, drv),
            (None, Some(scratch)) => !scratch.has(&store_path::build_folder(drv)),
            (None, None) => false,
        };
        for drv in run.note_ends(at, exists, gone) {
            self.ended(run, &drv);
        }
    }

    /// Another machine is asked what is there; what it answered since is taken in.
    pub fn look(&mut self, run: &mut Run, at: Duration) -> Result<()> {
        let Some(remote) = self.remote else {
            return Ok(());
        };
        for (drv, outputs) in remote.take_outputs() {
            run.note_derivation(&drv, outputs);
        }
        if remote.look(|| run.awaited())? {
            self.note_ends(run, at);
        }
        Ok(())
    }

    /// Above the live lines a line is left of each build that ended.
    fn ended(&mut self, run: &Run, drv: &str) {
        if self.display.mode() == Mode::Live
            && let Some(ended) = run.ended(drv)
        {
            self.display.line(&display::ended_line(&ended));
        }
    }
}
