//! How long an update took: by the clock, along the longest chain of builds that wait for each other, and on
//! processors.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::build::model::Run;
use sys::platform;
use sys::table::human_seconds;

/// The builds of all rounds.
#[derive(Debug, Default)]
pub struct Steps {
    /// Label and time, by derivation.
    built: BTreeMap<String, (String, Duration)>,
    /// Derivations that another one was built for: the same one with a fake hash.
    built_as: BTreeMap<String, String>,
}

/// How long it took.
#[derive(Debug)]
pub struct Times {
    /// By the clock.
    pub wall: Duration,
    /// Of the builds that wait for each other.
    pub chain: Duration,
    /// On processors, if that can be known.
    pub processor: Option<Duration>,
    /// How many processors there are.
    pub cores: usize,
    /// Label and time of each build, the longest first.
    pub builds: Vec<(String, Duration)>,
}

impl Steps {
    /// Adds what was built in a round.
    pub fn add(&mut self, run: &Run) {
        for (drv, label, time) in run.times() {
            self.built
                .entry(drv.to_owned())
                .or_insert_with(|| (label.to_owned(), time));
        }
    }

    /// Adds the builds of another container.
    pub fn extend(&mut self, other: Self) {
        self.built.extend(other.built);
        self.built_as.extend(other.built_as);
    }

    /// Says that what `fake` was built for is `drv`, once its hash was known.
    pub fn same(&mut self, drv: &str, fake: &str) {
        self.built_as.insert(drv.to_owned(), fake.to_owned());
    }

    /// The time of the builds that wait for each other; `inputs` knows what a derivation needs.
    pub fn longest_chain(&self, inputs: &impl Fn(&str) -> Vec<String>) -> Duration {
        let mut known = BTreeMap::new();
        let chains = self
            .built
            .keys()
            .map(|drv| self.chain(drv, inputs, &mut known));
        chains.max().unwrap_or_default()
    }

    fn chain(
        &self,
        drv: &str,
        inputs: &impl Fn(&str) -> Vec<String>,
        known: &mut BTreeMap<String, Duration>,
    ) -> Duration {
        if let Some(chain) = known.get(drv) {
            return *chain;
        }
        let built = self.built_as.get(drv).map_or(drv, String::as_str);
        let before = inputs(built);
        let before = before.iter().map(|it| self.chain(it, inputs, known)).max();
        let own = self.built.get(built).map_or(Duration::ZERO, |it| it.1);
        let chain = own + before.unwrap_or_default();
        known.insert(drv.to_owned(), chain);
        chain
    }

    /// All of it, at the end of a run that began then.
    pub fn times(
        self,
        start: Instant,
        is_here: bool,
        inputs: &impl Fn(&str) -> Vec<String>,
    ) -> Times {
        let chain = self.longest_chain(inputs);
        let mut builds: Vec<(String, Duration)> = self.built.into_values().collect();
        builds.sort_by(|one, two| two.1.cmp(&one.1).then_with(|| one.0.cmp(&two.0)));
        Times {
            wall: start.elapsed(),
            chain,
            processor: platform::processor_time().filter(|_| is_here),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            builds,
        }
    }
}

impl Times {
    /// All three in a sentence.
    pub fn shown(&self) -> String {
        let seconds = |time: Duration| human_seconds(time.as_secs_f64());
        let processor = self.processor.map_or_else(
            || "processor time is not known: a daemon builds".to_owned(),
            |time| {
                // However much runs at once, this is the least that it takes by the clock.
                let cores = u32::try_from(self.cores).unwrap_or(u32::MAX).max(1);
                let s = if cores == 1 { "" } else { "s" };
                let (time, each) = (seconds(time), seconds(time / cores));
                format!("{time} of processor time, {each} on each of {cores} processor{s}")
            },
        );
        format!(
            "{} by the clock; {} along the longest chain of builds; {processor}.",
            seconds(self.wall),
            seconds(self.chain)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_chain_goes_through_all_rounds() {
        let mut steps = Steps::default();
        for (drv, seconds) in [("a-fake", 3), ("b", 2), ("c", 4)] {
            let time = Duration::from_secs(seconds);
            steps.built.insert(drv.to_owned(), (drv.to_owned(), time));
        }
        // b needs a with its true hash, by way of one that was there.
        steps.same("a", "a-fake");
        let inputs = |drv: &str| -> Vec<String> {
            let inputs: &[&str] = match drv {
                "b" => &["there", "x"],
                "there" => &["a"],
                _ => &[],
            };
            inputs.iter().map(|&it| it.to_owned()).collect()
        };
        assert_eq!(steps.longest_chain(&inputs), Duration::from_secs(5));
        let times = steps.times(Instant::now(), false, &inputs);
        assert_eq!(times.builds[0].0, "c");
        assert!(
            times
                .shown()
                .contains("5.0 s along the longest chain of builds; processor time is not"),
            "{}",
            times.shown()
        );
    }
}
