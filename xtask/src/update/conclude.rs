//! The end of an update: what was done is said, in every form that was asked for.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::nix;
use crate::repo::Repo;
use crate::update::hashes::Done;
use crate::update::preflight::Note;
use crate::update::report::{self, Row};
use crate::update::times::Steps;
use sys::files;
use sys::git::Git;
use sys::process::Processes;
use sys::terminal;

/// What is said, and how.
pub struct Ending<'a> {
    /// This repository.
    pub repo: &'a Repo,
    /// What starts processes here.
    pub processes: &'a Processes,
    /// What was done, in a line: `authentik: 2026.2.0 -> 2026.2.1`.
    pub title: String,
    /// Where upstream's site shows what changed.
    pub compare: Option<&'a str>,
    /// What the new tree changes.
    pub notes: &'a [Note],
    /// Whether pins are printed as JSON lines.
    pub json: bool,
    /// Whether it is committed.
    pub commit: bool,
    /// A file for all of it as Markdown.
    pub report: Option<&'a Utf8Path>,
    /// Whether components were built and tested.
    pub built: bool,
    /// When the run began.
    pub start: Instant,
    /// The files that changed.
    pub files: Vec<Utf8PathBuf>,
}

/// A commit must have nothing in it but what this run changes.
pub fn refuse_to_commit(repo: &Repo, processes: &Processes, files: &[Utf8PathBuf]) -> Result<()> {
    let git = Git::new(processes, &repo.root).isolated();
    for path in files {
        let shown = repo.shown(path);
        git.output(&["ls-files", "--error-unmatch", "--", path.as_str()])
            .with_context(|| format!("`--commit`: {shown} is not under git"))?;
        let changes = git.output(&["status", "--porcelain", "--", path.as_str()])?;
        if !changes.is_empty() {
            bail!(
                "`--commit`: {shown} has changes that are not committed: commit or undo them first"
            );
        }
    }
    Ok(())
}

impl Ending<'_> {
    /// Says what became of the pins of containers; 1 if one is missing now.
    pub fn say(&self, containers: Vec<(String, Done)>) -> Result<ExitCode> {
        let (mut rows, mut steps, mut rounds): (Vec<Row>, Steps, usize) = Default::default();
        for (name, done) in containers {
            rows.extend(report::rows(&name, &done.plan, &done.found));
            steps.extend(done.steps);
            rounds += done.rounds;
        }
        if self.json {
            rows.iter().try_for_each(terminal::emit_json)?;
        } else {
            terminal::emit(report::pins(&rows).trim_end())?;
        }
        let proof = if self.built {
            "All components were built, and their tests passed."
        } else {
            "Components were not built."
        };
        let s = if rounds == 1 { "" } else { "s" };
        let times = steps.times(self.start, nix::is_direct(), &nix::inputs_of);
        let end = format!("{proof} {rounds} round{s} of builds: {}", times.shown());
        let files: Vec<&Utf8Path> = self.files.iter().map(|it| self.repo.shown(it)).collect();
        let shown: Vec<&str> = files.iter().map(|it| it.as_str()).collect();
        terminal::say(format!("written to {}. {end}", shown.join(", ")));
        if self.commit {
            let message = format!("{}\n\n{}", self.title, report::commit(&rows));
            let files = self.files.iter().map(|path| path.as_str());
            let git = Git::new(self.processes, &self.repo.root).isolated();
            let commit = ["commit", "--quiet", "--message", &message, "--only", "--"];
            git.output(&commit.into_iter().chain(files).collect::<Vec<_>>())?;
        }
        if let Some(file) = self.report {
            let text = report::markdown(
                &self.title,
                self.compare,
                &rows,
                self.notes,
                &end,
                &times.builds,
            );
            files::write_result(file, text.as_bytes())?;
        }
        let removed: Vec<String> = rows
            .iter()
            .filter(|row| row.state == "removed")
            .map(|row| row.pin.clone())
            .collect();
        if removed.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        terminal::say(format!(
            "removed, as nothing here found what they are now: {}; `--system SYSTEM`, with `--builders` or `--on HOST`, \
             finds them in the same run, `cargo xtask test-build --write-pins` where they can be built",
            removed.join(", ")
        ));
        Ok(ExitCode::from(1))
    }
}
