//! How long builds took, kept between runs in a small file: what a build usually takes, and whether it
//! was slower this time.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::build::model::{Built, PhaseTime};
use sys::files;
use sys::table;

/// How many builds of a thing are kept.
const KEPT_BUILDS: usize = 10;
/// How many things are kept; those longest not built go first.
const KEPT_THINGS: usize = 300;
/// What is slower than usual by less is not worth a word: noise.
const SLOWER_BY: f64 = 1.0;
/// The same as a ratio.
const SLOWER_RATIO: f64 = 1.3;

/// The builds of earlier runs.
#[derive(Debug, Default)]
pub struct History {
    file: Utf8PathBuf,
    /// What this run's names stand behind: the same name is another build over another package set, from
    /// other sources, or in another container.
    prefix: String,
    things: BTreeMap<String, Thing>,
}

/// What is known of a component or of something that it needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Thing {
    /// A number that grows with each run that built it.
    last: u64,
    /// The latest builds, oldest first.
    builds: Vec<Took>,
}

/// How long a build took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Took {
    /// In seconds.
    seconds: f64,
    /// In seconds, by name.
    phases: BTreeMap<String, f64>,
}

impl History {
    /// Reads a history; a file that can't be read is as good as none. `scope` keeps builds apart that
    /// have the same name.
    pub fn read(file: Utf8PathBuf, scope: &str) -> Self {
        let things = things(&file);
        Self {
            file,
            prefix: format!("{scope} "),
            things,
        }
    }

    /// Says that names which do not say so themselves are of a container.
    pub fn within(&mut self, container: &str) {
        self.prefix = format!("{}{container}/", self.prefix);
    }

    fn thing(&self, label: &str) -> Option<&Thing> {
        self.things.get(&format!("{}{label}", self.prefix))
    }

    /// How long a build usually takes: the median of what is known.
    pub fn usual(&self, label: &str) -> Option<Duration> {
        let builds = &self.thing(label)?.builds;
        let seconds = median(builds.iter().map(|took| took.seconds))?;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// A sentence on a build that was slower than usual.
    pub fn slower(&self, built: &Built<'_>) -> Option<String> {
        let builds = &self.thing(built.label)?.builds;
        let usual = median(builds.iter().map(|took| took.seconds))?;
        let more = built.seconds - usual;
        if more < SLOWER_BY || built.seconds < usual * SLOWER_RATIO {
            return None;
        }
        let more_in = |phase: &PhaseTime| {
            let earlier = builds
                .iter()
                .filter_map(|took| took.phases.get(&phase.phase));
            phase.seconds - median(earlier.copied()).unwrap_or(0.0)
        };
        let most = built
            .phases
            .iter()
            .map(|phase| (phase, more_in(phase)))
            .filter(|(_, more)| *more >= SLOWER_BY)
            .max_by(|(_, a), (_, b)| a.total_cmp(b));
        let most = most.map_or_else(String::new, |(phase, more)| {
            format!(", {} of it in {}", table::human_seconds(more), phase.phase)
        });
        let runs = match builds.len() {
            1 => "1 run".to_owned(),
            runs => format!("{runs} runs"),
        };
        Some(format!(
            "{} was slower than usual by {}{most} (usually {}, of {runs})",
            built.label,
            table::human_seconds(more),
            table::human_seconds(usual),
        ))
    }

    /// Adds builds to the file, whatever other runs added meanwhile.
    pub fn add<'a>(&self, lock: &Utf8Path, built: impl Iterator<Item = Built<'a>>) -> Result<()> {
        let mut built = built.peekable();
        if built.peek().is_none() {
            return Ok(());
        }
        let _lock = files::lock(lock)?;
        let mut things = things(&self.file);
        add(&mut things, &self.prefix, built);
        let text = serde_json::to_string(&things)?;
        files::write_atomically(&self.file, text.as_bytes(), 0o644)
    }
}

fn things(file: &Utf8Path) -> BTreeMap<String, Thing> {
    let known = fs_err::read(file).ok();
    known
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

fn add<'a>(
    things: &mut BTreeMap<String, Thing>,
    prefix: &str,
    built: impl Iterator<Item = Built<'a>>,
) {
    let last = things.values().map(|thing| thing.last).max().unwrap_or(0);
    for built in built {
        let thing = things
            .entry(format!("{prefix}{}", built.label))
            .or_default();
        thing.last = last.saturating_add(1);
        let mut phases = BTreeMap::new();
        for phase in built.phases {
            *phases.entry(phase.phase).or_default() += phase.seconds;
        }
        thing.builds.push(Took {
            seconds: built.seconds,
            phases,
        });
        let old = thing.builds.len().saturating_sub(KEPT_BUILDS);
        thing.builds.drain(..old);
    }
    let mut ages: Vec<u64> = things.values().map(|thing| thing.last).collect();
    ages.sort_unstable_by(|a, b| b.cmp(a));
    if let Some(oldest) = ages.get(KEPT_THINGS) {
        things.retain(|_, thing| thing.last > *oldest);
    }
}

/// The middle one of values, or the lower of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(label: &str, seconds: f64) -> Built<'_> {
        let phase = |phase: &str, seconds| PhaseTime {
            phase: phase.to_owned(),
            seconds,
        };
        Built {
            label,
            seconds,
            phases: vec![
                phase("unpackPhase", 0.5),
                phase("buildPhase", seconds - 0.5),
            ],
        }
    }

    fn history(seconds: &[f64]) -> History {
        let mut history = History {
            prefix: "host sample ".to_owned(),
            ..History::default()
        };
        for seconds in seconds {
            add(
                &mut history.things,
                "host sample ",
                [built("a", *seconds)].into_iter(),
            );
        }
        history
    }

    #[test]
    fn the_usual_time_is_the_median_of_the_latest() {
        assert_eq!(history(&[]).usual("a"), None);
        let many: Vec<f64> = [100.0]
            .into_iter()
            .chain([4.0; 5])
            .chain([5.0; 5])
            .collect();
        let history = history(&many);
        assert_eq!(history.usual("a"), Some(Duration::from_secs(4)));
        assert_eq!(history.usual("b"), None);
        assert_eq!(history.thing("a").unwrap().builds.len(), KEPT_BUILDS);
    }

    #[test]
    fn what_was_slower() {
        let history = history(&[10.0, 12.0, 11.0]);
        for fast in [5.0, 11.0, 11.9, 14.0] {
            assert_eq!(history.slower(&built("a", fast)), None);
        }
        assert_eq!(history.slower(&built("b", 100.0)), None);
        assert_eq!(
            history.slower(&built("a", 20.0)).unwrap(),
            "a was slower than usual by 9.0 s, 9.0 s of it in buildPhase (usually 11.0 s, of 3 runs)"
        );
    }

    #[test]
    fn small_builds_are_noise() {
        assert_eq!(history(&[0.1]).slower(&built("a", 0.9)), None);
    }

    #[test]
    fn what_was_long_not_built_is_forgotten() {
        let mut things = BTreeMap::new();
        for n in 0..KEPT_THINGS + 5 {
            add(&mut things, "s ", [built(&n.to_string(), 1.0)].into_iter());
        }
        assert_eq!(things.len(), KEPT_THINGS);
        assert!(!things.contains_key("s 0") && things.contains_key("s 300"));
    }

    #[test]
    fn runs_add_to_what_others_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let file = folder.join("history.json");
        let read = || History::read(file.clone(), "s");
        let (one, two) = (read(), read());
        one.add(&folder.join("lock"), [built("a", 3.0)].into_iter())
            .unwrap();
        two.add(&folder.join("lock"), [built("b", 4.0)].into_iter())
            .unwrap();
        assert_eq!(read().usual("a"), Some(Duration::from_secs(3)));
        assert_eq!(read().usual("b"), Some(Duration::from_secs(4)));
        let mut within = read();
        within.within("app");
        assert_eq!(within.usual("a"), None);
        within
            .add(&folder.join("lock"), [built("a", 5.0)].into_iter())
            .unwrap();
        assert_eq!(read().usual("app/a"), Some(Duration::from_secs(5)));
        files::write_atomically(&file, b"{ half", 0o644).unwrap();
        assert_eq!(read().usual("a"), None);
    }
}
