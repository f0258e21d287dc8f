//! Building what is planned: nix-build is followed, and what it left is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::Result;
use xshell::Cmd;

use crate::build::culprits;
use crate::build::display::{Display, Mode, View};
use crate::build::history::History;
use crate::build::logs::Logs;
use crate::build::model::{Row, Run, Running, State, StoreState, Target};
use crate::build::screen::Screen;
use crate::build::site::Site;
use crate::nix::{BuildOptions, Nix};
use crate::pins::mismatch::{self, PinMismatch};
use crate::remote::Remote;
use nix_formats::log::{self, Event, Failure};
use sys::files;
use sys::process::{Input, Interrupted, Output};
use sys::scratch::Scratch;
use sys::terminal;

/// The longest time between two looks at the running builds: the live lines count seconds.
const TICK: Duration = Duration::from_millis(100);

/// What a run knows from round to round; a new one begins when pins were changed.
pub struct Progress {
    /// The model of what Nix says.
    pub run: Run,
    /// When it began.
    pub start: Instant,
    /// Outputs that were asked about.
    pub known: BTreeSet<String>,
    /// Those of them that were valid then.
    pub valid_before: BTreeSet<String>,
    /// Derivations of targets that failed by themselves or by what they need: no new hash helps them.
    pub hopeless: BTreeSet<String>,
    /// Pins that were changed.
    pub changed: Vec<PinMismatch>,
}

/// What nix-build left.
pub struct Outcome {
    /// The rows of the table.
    pub rows: Vec<Row>,
    /// The NAR sizes of outputs, in bytes.
    pub sizes: BTreeMap<String, u64>,
    /// Pins whose hash is not that of what they pin.
    pub stale: Vec<PinMismatch>,
    /// How nix-build ended, if it was needed.
    pub status: Option<ExitStatus>,
    /// The signal that came.
    pub interrupted: Option<Interrupted>,
}

impl Progress {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self {
            run: Run::default(),
            start: Instant::now(),
            known: BTreeSet::new(),
            valid_before: BTreeSet::new(),
            hopeless: BTreeSet::new(),
            changed: Vec::new(),
        }
    }

    /// Begins a round; what was accepted failed no more.
    pub fn next_round(&mut self, targets: &[&Target]) {
        let accepted = self.changed.iter().filter_map(|stale| stale.drv.clone());
        let accepted: Vec<String> = accepted.collect();
        self.run.next_round(targets.iter().copied(), &accepted);
    }

    /// Finds out which outputs of these targets are valid, those that were not asked about before.
    pub fn note_known(&mut self, nix: &Nix<'_>, targets: &[Target]) -> Result<()> {
        let outs = targets.iter().map(|target| target.out.clone());
        let new: BTreeSet<String> = outs.filter(|out| !self.known.contains(out)).collect();
        self.valid_before.extend(nix.valid(&new)?);
        self.known.extend(new);
        Ok(())
    }

    /// Whether this pin was changed before.
    pub fn was_changed(&self, stale: &PinMismatch) -> bool {
        let same =
            |other: &PinMismatch| other.file == stale.file && other.change.key == stale.change.key;
        self.changed.iter().any(same)
    }

    /// Whether none of these pins was changed before: what differs with each build would never end.
    pub fn are_new(&self, stale: &[PinMismatch]) -> bool {
        !stale.iter().any(|stale| self.was_changed(stale))
    }
}

/// Builds the targets; what is there already needs no build.
pub fn build(
    site: &Site<'_>,
    history: &History,
    targets: &[Target],
    progress: &mut Progress,
) -> Result<Outcome> {
    for target in targets {
        files::check_writable(&site.results(&target.container))?;
    }
    let outs: BTreeSet<String> = targets.iter().map(|target| target.out.clone()).collect();
    if progress.known.is_empty()
        && let Some(sizes) = sizes_if_all_there(site, targets, &outs)?
    {
        let after = StoreState {
            valid_before: outs.clone(),
            valid: outs,
            ..StoreState::default()
        };
        return Ok(Outcome {
            rows: rows(site, &progress.run, targets, &after, Duration::ZERO),
            sizes,
            stale: Vec::new(),
            status: None,
            interrupted: None,
        });
    }
    progress.note_known(&site.nix, targets)?;
    let to_build: Vec<&Target> = targets
        .iter()
        .filter(|target| !progress.valid_before.contains(&target.out))
        .filter(|target| !progress.hopeless.contains(&target.drv))
        .collect();
    progress.next_round(&to_build);
    let drvs: BTreeSet<String> = to_build.iter().map(|target| target.drv.clone()).collect();
    let run = &mut progress.run;
    let status = if drvs.is_empty() {
        None
    } else {
        Some(follow(site, history, &drvs, run, progress.start)?)
    };
    // What is there already once its pins are right needs no build.
    let success = status.is_none_or(|status| status.success());
    let interrupted = site.processes.acknowledge();
    let elapsed = progress.start.elapsed();
    let valid = site.nix.valid(&outs)?;
    if let Some(interrupted) = &interrupted {
        let unfinished = culprits::without_output(&site.nix, run)?;
        terminal::say(interruption(interrupted, run, unfinished.keys()));
    } else if !success && status.is_none_or(|status| status.signal().is_none()) {
        culprits::find(&site.nix, run)?;
    }
    let missing = targets.iter().filter(|target| !valid.contains(&target.out));
    let missing: BTreeSet<String> = missing.map(|target| target.drv.clone()).collect();
    let after = StoreState {
        valid_before: progress.valid_before.clone(),
        requisites: site.nix.requisites(&missing)?,
        success: success && progress.hopeless.is_empty(),
        valid,
    };
    let rows = rows(site, run, targets, &after, elapsed);
    let mismatch = |(_, failure): &(&str, &Failure)| matches!(failure, Failure::Mismatch { .. });
    let stale = if run.failures().any(|failure| mismatch(&failure)) {
        mismatch::after_build(run.failures(), &site.nix.pinned(&site.inputs, site.repo)?)
    } else {
        Vec::new()
    };
    let failed = rows.iter().filter(|row| row.state == State::Failed);
    progress.hopeless = failed.map(|row| row.drv.clone()).collect();
    let there = rows.iter().filter_map(|row| row.out.clone()).collect();
    Ok(Outcome {
        sizes: site.nix.sizes_if_valid(&there)?.unwrap_or_default(),
        rows,
        stale: if interrupted.is_some() {
            Vec::new()
        } else {
            stale
        },
        status,
        interrupted,
    })
}

/// The sizes of all outputs if nothing is to be built. Another machine links to them in the same go
/// and, unless they are wanted here, lets that be the end.
fn sizes_if_all_there(
    site: &Site<'_>,
    targets: &[Target],
    outs: &BTreeSet<String>,
) -> Result<Option<BTreeMap<String, u64>>> {
    let Some(remote) = site.remote() else {
        return site.nix.sizes_if_valid(outs);
    };
    let links = targets
        .iter()
        .map(|target| (&*target.container, &*target.component, &target.out));
    let links = site.links(links);
    site.nix.sizes_and_links(
        remote,
        outs,
        &links,
        !site.options.fetch && site.options.forward.is_none(),
    )
}

fn rows(
    site: &Site<'_>,
    run: &Run,
    targets: &[Target],
    after: &StoreState,
    elapsed: Duration,
) -> Vec<Row> {
    let mut rows = run.rows(targets, after, elapsed);
    for row in &mut rows {
        row.host = site.remote().map(|remote| remote.host().to_owned());
    }
    rows
}

/// Runs nix-build; shows and logs what comes.
fn follow(
    site: &Site<'_>,
    history: &History,
    drvs: &BTreeSet<String>,
    run: &mut Run,
    start: Instant,
) -> Result<ExitStatus> {
    let remote = site.remote();
    let (mut screen, options) = prepare(site)?;
    let mut reader = log::Reader::default();
    let status = site.nix.build(drvs, &options, TICK, |input| match input {
        Input::Bytes(bytes) => {
            reader.read(bytes, &mut |event| screen.take(event, run, start.elapsed()))
        }
        Input::Pause => {
            screen.logs.flush()?;
            screen.look(run, start.elapsed())?;
            screen
                .display
                .refresh(|| view(history, run, start.elapsed()));
            Ok(())
        }
    })?;
    reader.end(&mut |event| screen.take(event, run, start.elapsed()))?;
    if remote.is_some() && site.processes.signal().is_none() {
        let awaited = run.awaited().into_values().flatten().collect();
        screen.there = site.nix.valid(&awaited)?;
    }
    screen.note_ends(run, start.elapsed());
    Ok(status)
}

/// Where a build is shown and logged, and how nix-build goes about it.
fn prepare<'a>(site: &Site<'a>) -> Result<(Screen<'a>, BuildOptions)> {
    let args = site.options;
    let remote = site.remote();
    // What is kept of failed builds has to lie where it stays; the other machine has its own folder.
    let own_folder = !args.keep_failed && remote.is_none();
    let scratch = own_folder.then(Scratch::for_builders).transpose()?;
    let kept = remote.filter(|_| args.keep_failed).map(Remote::temporary);
    let options = BuildOptions {
        keep_going: args.keep_going || args.write_pins,
        keep_failed: args.keep_failed,
        temporary: scratch
            .as_ref()
            .map(|scratch| scratch.path().to_owned())
            .or(kept),
        settings: args.settings.clone(),
    };
    if let Some(host) = site.host {
        host.prepare_builders(site.choice.set, site.options.from.share_logins)?;
    }
    let screen = Screen {
        display: Display::new(Mode::choose(args.quiet)),
        logs: Logs::new(site.logs_folder())?,
        verbose: args.verbose,
        scratch,
        remote,
        tells_folders: !args.keep_failed,
        there: BTreeSet::new(),
    };
    Ok((screen, options))
}

/// Builds beside each other what does not wait for each other, on this machine: groups of derivations, each by a
/// nix-build of its own. `next` gives those to begin with, and after the end of each nix-build those that it made
/// possible. The signal that came, if one did.
///
/// Nix 2.8 tells of a wrong hash at the end of a nix-build only, so one that builds much tells late. Nix itself sees to
/// it that two of them don't build the same.
pub fn beside(
    site: &Site<'_>,
    history: &History,
    progress: &mut Progress,
    mut next: impl FnMut(&mut Progress) -> Result<Vec<BTreeSet<String>>>,
) -> Result<Option<Interrupted>> {
    let start = progress.start;
    let first = next(progress)?;
    let (mut screen, options) = prepare(site)?;
    let commands = |groups: Vec<BTreeSet<String>>| -> Result<Vec<Cmd<'_>>> {
        let groups = groups.iter();
        groups
            .map(|drvs| site.nix.build_command(drvs, &options))
            .collect()
    };
    let mut readers: Vec<log::Reader> = Vec::new();
    site.processes
        .stream_all(commands(first)?, TICK, |process, output| {
            let run = &mut progress.run;
            run.of(process);
            if readers.len() <= process {
                readers.resize_with(process + 1, log::Reader::default);
            }
            let reader = &mut readers[process];
            let mut take = |event: Event<'_>| screen.take(event, run, start.elapsed());
            match output {
                Output::Bytes(bytes) => reader.read(bytes, &mut take)?,
                Output::Pause => {
                    screen.logs.flush()?;
                    let display = &mut screen.display;
                    display.refresh(|| view(history, run, start.elapsed()));
                }
                Output::End(_) => {
                    reader.end(&mut take)?;
                    screen.note_ends(run, start.elapsed());
                    run.process_ended(process, start.elapsed());
                    if site.processes.signal().is_none() {
                        // Lines are written meanwhile that are none of the display's.
                        screen.display = Display::new(Mode::Quiet);
                        let more = next(progress)?;
                        screen.display = Display::new(Mode::choose(site.options.quiet));
                        return commands(more);
                    }
                }
            }
            Ok(Vec::new())
        })?;
    let interrupted = site.processes.acknowledge();
    if let Some(interrupted) = &interrupted {
        let unfinished = culprits::without_output(&site.nix, &progress.run)?;
        terminal::say(interruption(interrupted, &progress.run, unfinished.keys()));
    }
    Ok(interrupted)
}

/// What the live lines show.
fn view<'run>(history: &History, run: &'run Run, elapsed: Duration) -> View<'run> {
    let running = run.running(elapsed, |label| history.usual(label));
    let counts = run.counts();
    View {
        left: time_left(&running, run.waiting().map(|label| history.usual(label))),
        running,
        fetching: run.fetching(),
        done: counts.done,
        expected: counts.expected,
        failed: counts.failed,
        elapsed,
        totals: None,
    }
}

/// How much longer it takes, if all that runs and waits is known from earlier runs.
fn time_left(
    running: &[Running<'_>],
    waiting: impl Iterator<Item = Option<Duration>>,
) -> Option<Duration> {
    let rest = |running: &Running<'_>| Some(running.usual?.saturating_sub(running.time));
    let rests: Vec<Duration> = running.iter().map(rest).collect::<Option<_>>()?;
    let waiting: Vec<Duration> = waiting.collect::<Option<_>>()?;
    let at_once = u32::try_from(running.len()).unwrap_or(u32::MAX).max(1);
    let shared = (rests.iter().sum::<Duration>() + waiting.iter().sum::<Duration>()) / at_once;
    let left = rests.into_iter().chain(waiting).chain([shared]).max()?;
    (left >= Duration::from_secs(1)).then_some(left)
}

/// What a signal interrupted.
fn interruption<'a>(
    interrupted: &Interrupted,
    run: &Run,
    unfinished: impl Iterator<Item = &'a String>,
) -> String {
    let unfinished: Vec<String> = unfinished
        .map(|drv| match run.phase(drv) {
            Some(phase) => format!("{} ({phase})", run.label(drv)),
            None => run.label(drv).to_owned(),
        })
        .collect();
    if unfinished.is_empty() {
        return interrupted.to_string();
    }
    format!("{interrupted} while building {}", unfinished.join(", "))
}
