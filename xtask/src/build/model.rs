//! A run of nix-build as a model: events in, what to show and the state of each row out.
//!
//! No I/O and no clock: times come in as durations since the start of the run.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use nix_formats::derivation::Output;
use nix_formats::log;
use nix_formats::log::{Counts, Event, Failure, beginning};
use nix_formats::store_path::name_of;

/// How many lines of the failing phase are kept to be shown.
const TAIL_LINES: usize = 30;
/// How much of each of these lines, in bytes.
const TAIL_WIDTH: usize = 2000;

/// How many different things said without proof of a derivation are kept: a builder may say any number.
const MOST_SAID: usize = 100;

/// What is to be built: a component or one of its tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its container.
    pub container: String,
    /// `client-ts` or `client-ts.tests.types`.
    pub component: String,
    /// Its label: with the container before it where several are built.
    pub label: String,
    /// The store path of its derivation.
    pub drv: String,
    /// The store path of its first output.
    pub out: String,
    /// The file that defines it, if that is known.
    pub file: Option<String>,
}

/// How a target ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum State {
    /// Built in this run.
    #[serde(rename = "built")]
    Built,
    /// Nothing to do: it was in the store, or came from a cache.
    #[serde(rename = "cached")]
    Cached,
    /// It, or something it needs, failed.
    #[serde(rename = "failed")]
    Failed,
    /// A fixed output, its own or one it needs, has other content than its hash says.
    #[serde(rename = "hash mismatch")]
    HashMismatch,
    /// The run ended before its turn.
    #[serde(rename = "skipped")]
    Skipped,
}

/// A target's row: of the table, and as a JSON line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The target's container.
    pub container: String,
    /// The target.
    pub component: String,
    /// The target's label.
    #[serde(skip)]
    pub label: String,
    /// The machine that builds, if it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// How it ended.
    pub state: State,
    /// The store path of its derivation.
    pub drv: String,
    /// The store path of its output, when it is there.
    pub out: Option<String>,
    /// How long its own build took, in seconds; 0 when it was not built.
    pub seconds: f64,
    /// The phases of its own build, in order.
    pub phases: Vec<PhaseTime>,
    /// Why it is not there.
    #[serde(skip)]
    pub note: String,
    /// The derivation because of whose failure it is not there: its own or one that it needs.
    #[serde(skip)]
    pub culprit: Option<String>,
}

/// How long a phase took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PhaseTime {
    /// Its name.
    pub phase: String,
    /// In seconds.
    pub seconds: f64,
}

/// What an event asks to be shown and logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// A derivation's build starts: time for [`Run::note_derivation`].
    Starts {
        /// The derivation.
        drv: String,
    },
    /// A builder's line.
    Log {
        /// The derivation.
        drv: String,
        /// The line as it came.
        line: Cow<'a, str>,
    },
    /// A builder's new phase.
    Phase {
        /// The derivation.
        drv: String,
        /// Its name.
        phase: String,
    },
    /// A build ended, well or not.
    Ends {
        /// The derivation.
        drv: String,
    },
    /// Builds may have ended: time for [`Run::note_ends`].
    Counts,
    /// Nix says something.
    Nix {
        /// Whether it is for `-v` only.
        detail: bool,
        /// All its lines.
        text: String,
    },
    /// Nix says why a derivation failed.
    Failed {
        /// The derivation.
        drv: String,
        /// All that Nix says.
        text: String,
    },
}

/// A build that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running<'a> {
    /// Its label.
    pub label: &'a str,
    /// The phase it is in, if the builder named any.
    pub phase: Option<&'a str>,
    /// The last line that the builder printed.
    pub line: &'a str,
    /// Since it began.
    pub time: Duration,
    /// How long it usually takes, if that is known.
    pub usual: Option<Duration>,
}

/// A build that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended<'a> {
    /// Its label.
    pub label: &'a str,
    /// Whether it left its outputs.
    pub well: bool,
    /// The last phase.
    pub phase: Option<&'a str>,
    /// How long it took.
    pub time: Duration,
}

/// A build that went well, for the history.
#[derive(Clone, Debug, PartialEq)]
pub struct Built<'a> {
    /// Its label.
    pub label: &'a str,
    /// In seconds.
    pub seconds: f64,
    /// Its phases, in order.
    pub phases: Vec<PhaseTime>,
}

/// What is known about the store after the run.
#[derive(Debug, Default)]
pub struct StoreState {
    /// Outputs that were valid before the run.
    pub valid_before: BTreeSet<String>,
    /// Outputs that are valid now.
    pub valid: BTreeSet<String>,
    /// For the derivations of targets that are not valid: all derivations that they need.
    pub requisites: BTreeMap<String, BTreeSet<String>>,
    /// Whether nix-build said that all went well.
    pub success: bool,
}

/// A derivation that failed, for the report.
#[derive(Debug, PartialEq, Eq)]
pub struct FailedBuild<'a> {
    /// The derivation.
    pub drv: &'a str,
    /// Why.
    pub failure: &'a Failure,
    /// The file that defines it, if that is known.
    pub file: Option<&'a str>,
    /// The phase it was in, if the builder named any.
    pub phase: Option<&'a str>,
    /// The last lines of that phase.
    pub tail: Vec<&'a str>,
}

/// The model.
#[derive(Debug, Default)]
pub struct Run {
    labels: BTreeMap<String, String>,
    /// The files that define targets, by derivation.
    files: BTreeMap<String, String>,
    /// Derivations of targets that are to be built.
    wanted: Vec<String>,
    active: BTreeMap<u64, Activity>,
    /// By the number of the nix-build.
    counts: BTreeMap<usize, Counts>,
    /// The nix-build whose events come.
    process: usize,
    builds: BTreeMap<String, Build>,
    failures: BTreeMap<String, Failure>,
    /// The build whose activity stopped last.
    stopped: Option<String>,
    other_errors: Vec<String>,
    /// What messages without proof say of derivations: a daemon's on all but the last failure, or those
    /// that a builder makes up.
    said: BTreeMap<String, Vec<Failure>>,
}

#[derive(Debug)]
enum Activity {
    Build(String),
    AllBuilds(usize),
    Fetch(String),
}

#[derive(Debug, Default)]
struct Build {
    /// The number of the nix-build.
    process: usize,
    started: Duration,
    ended: Option<Duration>,
    /// Whether it left its outputs, once that is known.
    well: Option<bool>,
    outputs: Vec<Output>,
    phases: Vec<(String, Duration)>,
    tail: VecDeque<String>,
}

impl Run {
    /// A run that builds these targets.
    #[cfg(test)]
    pub fn new(targets: &[Target]) -> Self {
        let mut run = Self::default();
        run.next_round(targets, &[]);
        run
    }

    /// Begins to build these targets after the hashes of `accepted` derivations were changed. What is
    /// known of other derivations stays.
    pub fn next_round<'a>(
        &mut self,
        targets: impl IntoIterator<Item = &'a Target>,
        accepted: &[String],
    ) {
        self.wanted.clear();
        self.active.clear();
        self.counts.clear();
        self.stopped = None;
        self.other_errors.clear();
        self.more(targets);
        self.accept(accepted.iter().map(String::as_str));
    }

    /// Builds these targets as well; builds that run go on.
    pub fn more<'a>(&mut self, targets: impl IntoIterator<Item = &'a Target>) {
        for target in targets {
            self.labels
                .entry(target.drv.clone())
                .or_insert_with(|| target.label.clone());
            if let Some(file) = &target.file {
                self.files.insert(target.drv.clone(), file.clone());
            }
            self.wanted.push(target.drv.clone());
        }
    }

    /// Forgets that derivations failed whose hashes were changed.
    pub fn accept<'a>(&mut self, accepted: impl IntoIterator<Item = &'a str>) {
        for drv in accepted {
            self.builds.remove(drv);
            self.failures.remove(drv);
            self.said.remove(drv);
        }
    }

    /// The label of a derivation: that of its target, else its name.
    pub fn label<'a>(&'a self, drv: &'a str) -> &'a str {
        self.labels
            .get(drv)
            .map_or_else(|| name_of(drv), String::as_str)
    }

    /// Says which nix-build the next events are of, by its number.
    pub fn of(&mut self, process: usize) {
        self.process = process;
    }

    /// Says that a nix-build ended. Only then the true hashes of what it built are told for sure, so what waits for
    /// these has waited until now.
    pub fn process_ended(&mut self, process: usize, at: Duration) {
        for (drv, failure) in &self.failures {
            if matches!(failure, Failure::Mismatch { .. })
                && let Some(build) = self.builds.get_mut(drv)
                && build.process == process
            {
                build.ended = Some(at);
            }
        }
    }

    /// Takes in an event that came `at` this time.
    pub fn apply<'a>(&mut self, event: Event<'a>, at: Duration) -> Option<Effect<'a>> {
        match event {
            Event::BuildStarts { id, drv } => {
                let drv = drv.into_owned();
                let known =
                    |activity: &Activity| matches!(activity, Activity::Build(it) if *it == drv);
                let known = self.active.values().any(known);
                self.active.insert(id, Activity::Build(drv.clone()));
                if known {
                    // A remote builder says it once more.
                    return None;
                }
                let build = Build {
                    process: self.process,
                    started: at,
                    ..Build::default()
                };
                self.builds.insert(drv.clone(), build);
                Some(Effect::Starts { drv })
            }
            Event::BuildsStart { id } => {
                // A remote builder counts its own builds, within those of this run.
                let own = self.process;
                let known =
                    |activity: &Activity| matches!(activity, Activity::AllBuilds(it) if *it == own);
                if !self.active.values().any(known) {
                    self.active.insert(id, Activity::AllBuilds(own));
                }
                None
            }
            Event::FetchStarts { id, what } => {
                self.active
                    .insert(id, Activity::Fetch(what.clone().into_owned()));
                Some(Effect::Nix {
                    detail: true,
                    text: format!("fetching {what}"),
                })
            }
            Event::Stops { id } => match self.active.remove(&id)? {
                Activity::Build(drv) => {
                    self.builds.get_mut(&drv)?.ended.get_or_insert(at);
                    self.stopped = Some(drv.clone());
                    Some(Effect::Ends { drv })
                }
                _ => None,
            },
            Event::Log { id, line } => {
                let drv = self.build_of(id)?;
                self.builds.get_mut(&drv)?.remember(&line);
                Some(Effect::Log { drv, line })
            }
            Event::Phase { id, phase } => {
                let drv = self.build_of(id)?;
                let build = self.builds.get_mut(&drv)?;
                build.phases.push((phase.clone(), at));
                build.tail.clear();
                Some(Effect::Phase { drv, phase })
            }
            Event::Counts { id, counts } => match self.active.get(&id)? {
                Activity::AllBuilds(process) => {
                    self.counts.insert(*process, counts);
                    Some(Effect::Counts)
                }
                _ => None,
            },
            Event::Error { text } => Some(self.note_failure(text, at)),
            Event::Message { detail, text } => {
                if let Some(error) = text.strip_prefix("error: ")
                    && let failure @ (Failure::Build { .. } | Failure::Mismatch { .. }) =
                        log::failure(error)
                    && let Some(drv) = failure.drv()
                {
                    let said = self.said.entry(drv.to_owned()).or_default();
                    if said.len() < MOST_SAID && !said.contains(&failure) {
                        said.push(failure);
                    }
                }
                Some(Effect::Nix { detail, text })
            }
        }
    }

    fn build_of(&self, id: u64) -> Option<String> {
        match self.active.get(&id)? {
            Activity::Build(drv) => Some(drv.clone()),
            _ => None,
        }
    }

    /// Takes in the outputs of a derivation whose build starts.
    pub fn note_derivation(&mut self, drv: &str, outputs: Vec<Output>) {
        if let Some(build) = self.builds.get_mut(drv) {
            build.outputs = outputs;
        }
    }

    /// The builds that are not known to have ended, with their outputs, as far as these are known.
    pub fn awaited(&self) -> BTreeMap<String, Vec<String>> {
        let builds = self.builds.iter().filter(|(_, build)| build.well.is_none());
        let builds = builds.map(|(drv, build)| {
            let paths = build.outputs.iter().map(|output| output.path.clone());
            (drv.clone(), paths.filter(|path| !path.is_empty()).collect())
        });
        builds.collect()
    }

    /// Finds out which builds ended: well, when their outputs `exist`; not well, when Nix counts more
    /// failures than it has given reasons for and the build's folder is `gone`. Gives those that were
    /// not known to have ended.
    ///
    /// Nix 2.8 reports the end of each build, and why it failed, only when the whole run is over.
    pub fn note_ends(
        &mut self,
        at: Duration,
        exists: impl Fn(&str) -> bool,
        gone: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let mut failed: BTreeMap<usize, u64> = BTreeMap::new();
        for build in self.builds.values() {
            *failed.entry(build.process).or_default() += u64::from(build.well == Some(false));
        }
        let mut ended = Vec::new();
        for (drv, build) in &mut self.builds {
            let can_tell = !build.outputs.is_empty()
                && build.outputs.iter().all(|output| !output.path.is_empty());
            if build.well.is_some() || !can_tell {
                continue;
            }
            let counts = self.counts.get(&build.process).copied();
            let counts = counts.unwrap_or_default();
            let more_failed = || Some(&counts.failed) > failed.get(&build.process);
            if build.outputs.iter().all(|output| exists(&output.path)) {
                build.well = Some(true);
            } else if more_failed() && (counts.running == 0 || gone(drv)) {
                build.well = Some(false);
            } else {
                continue;
            }
            build.ended.get_or_insert(at);
            ended.push(drv.clone());
        }
        ended
    }

    fn note_failure(&mut self, text: String, at: Duration) -> Effect<'static> {
        let failure = match (log::failure(&text), self.stopped.take()) {
            (Failure::TimedOut(reason), Some(drv)) => Failure::Build { drv, reason },
            (failure, _) => failure,
        };
        let nix = Effect::Nix {
            detail: false,
            text: format!("error: {text}"),
        };
        match failure {
            Failure::Mismatch { .. } | Failure::Build { .. } => {
                let Some(drv) = failure.drv().map(str::to_owned) else {
                    return nix;
                };
                if let Some(build) = self.builds.get_mut(&drv) {
                    build.ended.get_or_insert(at);
                    build.well = Some(false);
                }
                // The first message gives the cause.
                self.failures.entry(drv.clone()).or_insert(failure);
                Effect::Failed { drv, text }
            }
            Failure::Other(text) | Failure::TimedOut(text) => {
                self.other_errors.push(text);
                nix
            }
            Failure::Consequence | Failure::Interrupted => nix,
        }
    }

    /// The builds that run, in order of their beginning; `usual` knows by label how long they take.
    pub fn running(
        &self,
        now: Duration,
        usual: impl Fn(&str) -> Option<Duration>,
    ) -> Vec<Running<'_>> {
        let active: BTreeSet<&str> = self
            .active
            .values()
            .filter_map(|activity| match activity {
                Activity::Build(drv) => Some(drv.as_str()),
                _ => None,
            })
            .collect();
        let mut running: Vec<(&str, &Build)> = active
            .into_iter()
            .filter_map(|drv| Some((drv, self.builds.get(drv)?)))
            .filter(|(_, build)| build.ended.is_none())
            .collect();
        running.sort_by_key(|(drv, build)| (build.started, *drv));
        running
            .into_iter()
            .map(|(drv, build)| {
                let label = self.label(drv);
                Running {
                    label,
                    phase: build.phase(),
                    line: build.last_line(),
                    time: now.saturating_sub(build.started),
                    usual: usual(label),
                }
            })
            .collect()
    }

    /// The labels of the targets whose build has not begun.
    pub fn waiting(&self) -> impl Iterator<Item = &str> {
        let wanted = self.wanted.iter();
        wanted
            .filter(|drv| !self.builds.contains_key(*drv))
            .map(|drv| self.label(drv))
    }

    /// What Nix fetches itself, in order of their names.
    pub fn fetching(&self) -> Vec<&str> {
        let mut fetching: Vec<&str> = self
            .active
            .values()
            .filter_map(|activity| match activity {
                Activity::Fetch(what) => Some(what.as_str()),
                _ => None,
            })
            .collect();
        fetching.sort_unstable();
        fetching.dedup();
        fetching
    }

    /// Nix's counts of all builds.
    pub fn counts(&self) -> Counts {
        let add = |sum: Counts, it: &Counts| Counts {
            done: sum.done + it.done,
            expected: sum.expected + it.expected,
            running: sum.running + it.running,
            failed: sum.failed + it.failed,
        };
        self.counts.values().fold(Counts::default(), add)
    }

    /// A build that ended.
    pub fn ended<'a>(&'a self, drv: &'a str) -> Option<Ended<'a>> {
        let build = self.builds.get(drv)?;
        Some(Ended {
            label: self.label(drv),
            well: build.well?,
            phase: build.phase(),
            time: build.ended?.saturating_sub(build.started),
        })
    }

    /// The builds that went well, in order of their names.
    pub fn built(&self) -> impl Iterator<Item = Built<'_>> {
        let well = self
            .builds
            .iter()
            .filter(|(_, build)| build.well == Some(true));
        well.map(|(drv, build)| {
            let end = build.end(Duration::MAX);
            Built {
                label: self.label(drv),
                seconds: build.seconds(end),
                phases: build.phase_times(end),
            }
        })
    }

    /// How long each build took that ended, well or not: derivation, label, time.
    pub fn times(&self) -> impl Iterator<Item = (&str, &str, Duration)> {
        self.builds.iter().filter_map(|(drv, build)| {
            let time = build.ended?.saturating_sub(build.started);
            Some((drv.as_str(), self.label(drv), time))
        })
    }

    /// The outputs of a derivation whose build began.
    pub fn outputs(&self, drv: &str) -> &[Output] {
        self.builds.get(drv).map_or(&[], |build| &build.outputs)
    }

    /// What was said without proof of a derivation, each once, in order.
    pub fn said(&self, drv: &str) -> &[Failure] {
        self.said.get(drv).map_or(&[], Vec::as_slice)
    }

    /// The derivations whose build began, in order of their names.
    pub fn started(&self) -> impl Iterator<Item = &str> {
        self.builds.keys().map(String::as_str)
    }

    /// The last phase of a derivation's build.
    pub fn phase(&self, drv: &str) -> Option<&str> {
        self.builds.get(drv)?.phase()
    }

    /// Nix's errors that named no derivation.
    pub fn other_errors(&self) -> &[String] {
        &self.other_errors
    }

    /// The derivations that are known to have failed, and why.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &Failure)> {
        self.failures
            .iter()
            .map(|(drv, failure)| (drv.as_str(), failure))
    }

    /// Lays at the door of `drv`, whose build is known to have failed, the mismatch that is `proven`,
    /// else what was said without proof, else the errors that named no derivation.
    pub fn attribute_failure(&mut self, drv: &str, proven: Option<Failure>) {
        let is_build = |failure: &&Failure| matches!(failure, Failure::Build { .. });
        let said = || self.said(drv).iter().find(is_build).cloned();
        let failure = proven.or_else(said).unwrap_or_else(|| Failure::Build {
            drv: drv.to_owned(),
            reason: if self.other_errors.is_empty() {
                "ended without an output; Nix gave no reason".to_owned()
            } else {
                self.other_errors.join("\n")
            },
        });
        self.failures.entry(drv.to_owned()).or_insert(failure);
    }

    /// What failed, for the report.
    pub fn failed_builds(&self) -> Vec<FailedBuild<'_>> {
        let broken = |(drv, failure)| {
            let build: Option<&Build> = self.builds.get::<String>(drv);
            FailedBuild {
                drv,
                failure,
                file: self.files.get(drv).map(String::as_str),
                phase: build.and_then(Build::phase),
                tail: build.map_or_else(Vec::new, |build| {
                    build.tail.iter().map(String::as_str).collect()
                }),
            }
        };
        self.failures.iter().map(broken).collect()
    }

    /// The rows of the targets, in their order.
    pub fn rows(&self, targets: &[Target], after: &StoreState, now: Duration) -> Vec<Row> {
        targets
            .iter()
            .map(|target| self.row(target, after, now))
            .collect()
    }

    fn row(&self, target: &Target, after: &StoreState, now: Duration) -> Row {
        let build = self.builds.get(&target.drv);
        let (state, note, culprit) = if after.valid.contains(&target.out) {
            let built = build.is_some() && !after.valid_before.contains(&target.out);
            (
                if built { State::Built } else { State::Cached },
                String::new(),
                None,
            )
        } else {
            self.why_missing(target, after)
        };
        Row {
            container: target.container.clone(),
            component: target.component.clone(),
            label: target.label.clone(),
            host: None,
            state,
            drv: target.drv.clone(),
            out: after
                .valid
                .contains(&target.out)
                .then(|| target.out.clone()),
            seconds: build.map_or(0.0, |build| build.seconds(now)),
            phases: build.map_or_else(Vec::new, |build| build.phase_times(now)),
            note,
            culprit,
        }
    }

    fn why_missing(&self, target: &Target, after: &StoreState) -> (State, String, Option<String>) {
        let own = Some(target.drv.clone());
        match self.failures.get(&target.drv) {
            Some(Failure::Mismatch { got, .. }) => {
                return (State::HashMismatch, format!("got {got}"), own);
            }
            Some(Failure::Build { reason, .. }) => {
                let first = reason.lines().next().unwrap_or_default();
                return (State::Failed, first.to_owned(), own);
            }
            _ => {}
        }
        let empty = BTreeSet::new();
        let needed = after.requisites.get(&target.drv).unwrap_or(&empty);
        let mut mismatch = None;
        for (drv, failure) in self
            .failures
            .iter()
            .filter(|(drv, _)| needed.contains(*drv))
        {
            let name = self.label(drv);
            if !matches!(failure, Failure::Mismatch { .. }) {
                let note = format!("dependency {name} failed");
                return (State::Failed, note, Some(drv.clone()));
            }
            mismatch.get_or_insert_with(|| (format!("in dependency {name}"), drv.clone()));
        }
        if let Some((note, drv)) = mismatch {
            return (State::HashMismatch, note, Some(drv));
        }
        if after.success {
            let note = "nix-build said that it went well, but the output is not in the store";
            return (State::Failed, note.to_owned(), own);
        }
        (State::Skipped, String::new(), None)
    }
}

impl Build {
    fn phase(&self) -> Option<&str> {
        self.phases.last().map(|(name, _)| name.as_str())
    }

    /// The last line of its builder that says more than its phase does.
    fn last_line(&self) -> &str {
        let last = self.tail.back().map_or("", String::as_str);
        if names_phase(last, self.phase()) {
            ""
        } else {
            last
        }
    }

    fn remember(&mut self, line: &str) {
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(beginning(line, TAIL_WIDTH).to_owned());
    }

    fn end(&self, now: Duration) -> Duration {
        self.ended.unwrap_or(now)
    }

    /// At least a millisecond: 0 would say that it was not built. Its beginning and its end can come in
    /// one piece.
    fn seconds(&self, now: Duration) -> f64 {
        seconds(self.started, self.end(now)).max(0.001)
    }

    fn phase_times(&self, now: Duration) -> Vec<PhaseTime> {
        let ends = self.phases.iter().skip(1).map(|(_, start)| *start);
        self.phases
            .iter()
            .zip(ends.chain([self.end(now)]))
            .map(|((phase, start), end)| PhaseTime {
                phase: phase.clone(),
                seconds: seconds(*start, end),
            })
            .collect()
    }
}

/// Whether a line is the one with which stdenv says in words what it has just told Nix, its phase.
pub fn names_phase(line: &str, phase: Option<&str>) -> bool {
    line.strip_prefix("Running phase: ")
        .is_some_and(|named| Some(named) == phase)
}

/// To the millisecond: more would be noise.
fn seconds(start: Duration, end: Duration) -> f64 {
    let millis = end.saturating_sub(start).as_millis();
    f64::from(u32::try_from(millis).unwrap_or(u32::MAX)) / 1000.0
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Built => "built",
            Self::Cached => "cached",
            Self::Failed => "failed",
            Self::HashMismatch => "hash mismatch",
            Self::Skipped => "skipped",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a-1.drv";
    const DEP: &str = "/nix/store/dddddddddddddddddddddddddddddddd-dep-2.drv";

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn target() -> Target {
        Target {
            container: "app".to_owned(),
            component: "a".to_owned(),
            label: "a".to_owned(),
            drv: A.to_owned(),
            out: "/out/a".to_owned(),
            file: None,
        }
    }

    fn needs_dep() -> StoreState {
        StoreState {
            requisites: BTreeMap::from([(A.to_owned(), BTreeSet::from([DEP.to_owned()]))]),
            ..StoreState::default()
        }
    }

    fn run_of(errors: &[&str]) -> Run {
        let mut run = Run::new(&[target()]);
        for text in errors {
            run.apply(
                Event::Error {
                    text: (*text).to_owned(),
                },
                at(1),
            );
        }
        run
    }

    #[test]
    fn a_build_with_phases() {
        let mut run = Run::new(&[target()]);
        let phase = |name: &str| Event::Phase {
            id: 1,
            phase: name.to_owned(),
        };
        run.apply(
            Event::BuildStarts {
                id: 1,
                drv: A.into(),
            },
            at(1),
        );
        run.apply(phase("buildPhase"), at(2));
        let said = run.apply(
            Event::Log {
                id: 1,
                line: "hello".into(),
            },
            at(3),
        );
        assert_eq!(
            said,
            Some(Effect::Log {
                drv: A.to_owned(),
                line: "hello".into()
            })
        );
        assert_eq!(run.phase(A), Some("buildPhase"));
        run.apply(phase("installPhase"), at(5));
        run.apply(Event::Stops { id: 1 }, at(9));
        assert_eq!(run.started().collect::<Vec<_>>(), [A]);
        let valid = BTreeSet::from(["/out/a".to_owned()]);
        let after = StoreState {
            valid,
            success: true,
            ..StoreState::default()
        };
        let rows = run.rows(&[target()], &after, at(20));
        assert_eq!(
            serde_json::to_value(&rows[0]).unwrap(),
            serde_json::json!({
                "container": "app", "component": "a", "state": "built", "drv": A, "out": "/out/a", "seconds": 8.0,
                "phases": [
                    { "phase": "buildPhase", "seconds": 3.0 },
                    { "phase": "installPhase", "seconds": 4.0 },
                ],
            })
        );
    }

    #[test]
    fn the_line_that_repeats_the_phase_is_not_shown() {
        let mut run = Run::new(&[target()]);
        let id = 1;
        run.apply(Event::BuildStarts { id, drv: A.into() }, at(1));
        let mut line_after = |event| {
            run.apply(event, at(2));
            run.running(at(3), |_| None)[0].line.to_owned()
        };
        let log = |line: &'static str| Event::Log {
            id,
            line: line.into(),
        };
        // No phase is known yet: the line says something.
        for (said, shown) in [("Running phase: x", "Running phase: x"), ("hello", "hello")] {
            assert_eq!(line_after(log(said)), shown);
        }
        let phase = "buildPhase".to_owned();
        line_after(Event::Phase { id, phase });
        for (said, shown) in [
            ("Running phase: buildPhase", ""),
            ("Running phase: checkPhase", "Running phase: checkPhase"),
            (
                "Running phase: buildPhase now",
                "Running phase: buildPhase now",
            ),
            ("made a thing", "made a thing"),
        ] {
            assert_eq!(line_after(log(said)), shown, "{said}");
        }
    }

    #[test]
    fn states() {
        let valid = BTreeSet::from(["/out/a".to_owned()]);
        let cached = StoreState {
            valid: valid.clone(),
            valid_before: valid,
            ..StoreState::default()
        };
        let builder = format!("builder for '{A}' failed with exit code 3");
        let mismatch = |drv| {
            format!(
                "hash mismatch in fixed-output derivation '{drv}':\n specified: sha256-x\n got: sha256-y"
            )
        };
        let dep = format!("builder for '{DEP}' failed with exit code 1");
        for (errors, after, state, note) in [
            (vec![], cached, State::Cached, ""),
            (vec![], needs_dep(), State::Skipped, ""),
            (
                vec![builder],
                needs_dep(),
                State::Failed,
                "failed with exit code 3",
            ),
            (
                vec![mismatch(A)],
                needs_dep(),
                State::HashMismatch,
                "got sha256-y",
            ),
            (
                vec![mismatch(DEP)],
                needs_dep(),
                State::HashMismatch,
                "in dependency dep-2",
            ),
            (
                vec![dep],
                needs_dep(),
                State::Failed,
                "dependency dep-2 failed",
            ),
            (
                vec![],
                StoreState {
                    success: true,
                    ..StoreState::default()
                },
                State::Failed,
                "nix-build said that it went well, but the output is not in the store",
            ),
        ] {
            let errors: Vec<&str> = errors.iter().map(String::as_str).collect();
            let rows = run_of(&errors).rows(&[target()], &after, at(1));
            assert_eq!(
                (rows[0].state, rows[0].note.as_str()),
                (state, note),
                "{errors:?}"
            );
        }
    }

    #[test]
    fn a_daemon_s_words_count_for_what_failed() {
        let mut run = run_of(&[]);
        let text = format!("error: builder for '{A}' failed with exit code 3;");
        run.apply(
            Event::Message {
                detail: false,
                text,
            },
            at(1),
        );
        assert_eq!(run.failures().count(), 0);
        run.attribute_failure(A, None);
        let row = &run.rows(&[target()], &StoreState::default(), at(2))[0];
        assert_eq!(
            (row.state, &*row.note),
            (State::Failed, "failed with exit code 3")
        );
    }

    #[test]
    fn errors_without_a_derivation_can_be_blamed() {
        let mut run = run_of(&["output '/x' is not allowed to refer to the following paths:\n /y"]);
        assert_eq!(run.failures().count(), 0);
        assert_eq!(run.other_errors().len(), 1);
        run.attribute_failure(A, None);
        let rows = run.rows(&[target()], &StoreState::default(), at(1));
        assert_eq!(rows[0].state, State::Failed);
        assert!(
            rows[0].note.starts_with("output '/x' is not allowed"),
            "{}",
            rows[0].note
        );
    }

    #[test]
    fn what_was_built_at_once_took_time_all_the_same() {
        let mut run = Run::new(&[target()]);
        let drv = A.into();
        run.apply(Event::BuildStarts { id: 1, drv }, at(1));
        run.apply(Event::Stops { id: 1 }, at(1));
        let row = &run.rows(&[target()], &StoreState::default(), at(2))[0];
        assert!((row.seconds - 0.001).abs() < 1e-9, "{}", row.seconds);
    }

    #[test]
    fn a_timeout_without_a_name_is_that_of_the_build_that_stopped() {
        let mut run = Run::new(&[target()]);
        let at = Duration::from_secs;
        for (id, drv) in [(1, "/s/a.drv"), (2, "/s/b.drv")] {
            let drv = drv.into();
            run.apply(Event::BuildStarts { id, drv }, at(0));
        }
        run.apply(Event::Stops { id: 2 }, at(3));
        let timeout = || Event::Error {
            text: "timed out after 3 seconds".to_owned(),
        };
        run.apply(timeout(), at(3));
        let reason = "timed out after 3 seconds".to_owned();
        let drv = "/s/b.drv".to_owned();
        let failures: Vec<_> = run.failures().collect();
        assert_eq!(failures, [("/s/b.drv", &Failure::Build { drv, reason })]);
        // One stop explains one timeout.
        run.apply(timeout(), at(4));
        assert_eq!(run.failures().count(), 1);
        assert_eq!(run.other_errors(), ["timed out after 3 seconds"]);
    }

    #[test]
    fn the_tail_is_that_of_the_last_phase_and_short() {
        let mut run = Run::new(&[]);
        let log = |line: String| Event::Log {
            id: 1,
            line: line.into(),
        };
        run.apply(
            Event::BuildStarts {
                id: 1,
                drv: DEP.into(),
            },
            at(0),
        );
        run.apply(log("before".to_owned()), at(0));
        run.apply(
            Event::Phase {
                id: 1,
                phase: "checkPhase".to_owned(),
            },
            at(0),
        );
        for n in 0..100 {
            run.apply(log(format!("line {n}")), at(1));
        }
        run.apply(log("ä".repeat(5000)), at(1));
        run.apply(Event::Stops { id: 1 }, at(2));
        run.note_failure(
            format!("builder for '{DEP}' failed with exit code 3"),
            at(2),
        );
        let broken = run.failed_builds();
        assert_eq!(broken.len(), 1);
        assert_eq!(broken[0].phase, Some("checkPhase"));
        assert_eq!(broken[0].tail.len(), TAIL_LINES);
        assert_eq!(broken[0].tail[0], "line 71");
        assert_eq!(broken[0].tail[29], "ä".repeat(TAIL_WIDTH / 2));
        assert_eq!(run.label(DEP), "dep-2");
    }

    #[test]
    fn a_remote_builder_s_own_counts_say_nothing_of_the_run() {
        let mut run = Run::new(&[target()]);
        let counts = |id, running, failed| Event::Counts {
            id,
            counts: Counts {
                running,
                failed,
                ..Counts::default()
            },
        };
        let start = |id| Event::BuildStarts { id, drv: A.into() };
        run.apply(Event::BuildsStart { id: 1 }, at(0));
        run.apply(start(2), at(1));
        let output = Output {
            path: "/out/a".to_owned(),
            fixed: None,
        };
        run.note_derivation(A, vec![output]);
        run.apply(counts(1, 2, 0), at(1));
        run.apply(Event::BuildsStart { id: 3 }, at(2));
        assert_eq!(run.apply(start(4), at(2)), None);
        assert_eq!(run.apply(counts(3, 0, 1), at(3)), None);
        assert!(run.note_ends(at(3), |_| false, |_| true).is_empty());
        assert_eq!(run.running(at(3), |_| None)[0].time, at(2));
        run.apply(counts(1, 0, 1), at(4));
        assert_eq!(run.note_ends(at(4), |_| false, |_| false), [A]);
    }

    #[test]
    fn several_nix_builds_are_told_apart() {
        let mut run = Run::new(&[target()]);
        for (process, drv) in [(0, A), (1, DEP)] {
            let id = 10 * u64::try_from(process).unwrap();
            run.of(process);
            run.apply(Event::BuildsStart { id }, at(0));
            let drv = drv.into();
            run.apply(Event::BuildStarts { id: id + 1, drv }, at(0));
        }
        let output = Output {
            path: "/out".to_owned(),
            fixed: None,
        };
        run.note_derivation(A, vec![output.clone()]);
        run.note_derivation(DEP, vec![output]);
        // The first says that one failed and none runs, the second has not counted anything yet.
        run.of(0);
        let counts = Counts {
            expected: 1,
            failed: 1,
            ..Counts::default()
        };
        run.apply(Event::Counts { id: 0, counts }, at(1));
        assert_eq!(run.note_ends(at(1), |_| false, |_| false), [A]);
        let counts = Counts {
            expected: 2,
            running: 1,
            ..Counts::default()
        };
        run.apply(Event::Counts { id: 10, counts }, at(2));
        let sum = run.counts();
        assert_eq!((sum.expected, sum.running, sum.failed), (3, 1, 1));
        // What waits for a hash waits until it is told.
        let mismatch =
            format!("hash mismatch in fixed-output derivation '{A}':\n specified: a\n got: b");
        run.note_failure(mismatch, at(2));
        run.process_ended(0, at(3));
        let times: Vec<_> = run.times().map(|(drv, _, time)| (drv, time)).collect();
        assert_eq!(times, [(A, at(3))]);
    }

    #[test]
    fn events_of_unknown_activities_are_passed_over() {
        let mut run = Run::new(&[]);
        assert_eq!(run.apply(Event::Stops { id: 9 }, at(0)), None);
        assert_eq!(
            run.apply(
                Event::Log {
                    id: 9,
                    line: "x".into()
                },
                at(0)
            ),
            None
        );
        assert_eq!(
            run.apply(
                Event::Phase {
                    id: 9,
                    phase: "x".to_owned()
                },
                at(0)
            ),
            None
        );
    }
}
