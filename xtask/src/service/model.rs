//! The state of each part of a service, and what is shown of it.

use std::time::{Duration, Instant};

use crate::build::display::{View, glance};
use crate::build::model::Running;

/// The parts of a service in the order in which they were started.
#[derive(Debug, Default)]
pub struct Parts {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: String,
    state: String,
    since: Instant,
    line: String,
}

impl Parts {
    /// Notes that a part is in another state; how long it was in the one before, if it is ready now.
    pub fn note(&mut self, name: &str, state: &str, now: Instant) -> Option<Duration> {
        let part = self.part(name, now);
        let was = now.duration_since(part.since);
        let is_ready = state == "ready" && part.state != "ready";
        state.clone_into(&mut part.state);
        part.since = now;
        is_ready.then_some(was)
    }

    /// Notes what a part said.
    pub fn said(&mut self, name: &str, line: &str, now: Instant) {
        line.clone_into(&mut self.part(name, now).line);
    }

    /// What is shown while not all are ready.
    pub fn view(&self, start: Instant, now: Instant) -> View<'_> {
        let starting = self.parts.iter().filter(|part| part.state == "starting");
        let running = starting.map(|part| Running {
            label: &part.name,
            phase: None,
            line: &part.line,
            time: now.duration_since(part.since),
            usual: None,
        });
        let ready: Vec<&str> = self
            .parts
            .iter()
            .filter(|part| part.state == "ready")
            .map(|part| part.name.as_str())
            .collect();
        let mut totals = format!("starting; {}", glance(now.duration_since(start)));
        if !ready.is_empty() {
            totals = format!("{totals}; ready: {}", ready.join(", "));
        }
        View {
            running: running.collect(),
            totals: Some(totals),
            ..View::default()
        }
    }

    fn part(&mut self, name: &str, now: Instant) -> &mut Part {
        if let Some(found) = self.parts.iter().position(|part| part.name == name) {
            return &mut self.parts[found];
        }
        self.parts.push(Part {
            name: name.to_owned(),
            state: "starting".to_owned(),
            since: now,
            line: String::new(),
        });
        let last = self.parts.len() - 1;
        &mut self.parts[last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_part_that_starts() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut parts = Parts::default();
        assert_eq!(parts.note("postgresql", "starting", at(0)), None);
        assert_eq!(
            parts.note("postgresql", "ready", at(2)),
            Some(Duration::from_secs(2))
        );
        assert_eq!(parts.note("postgresql", "ready", at(3)), None);
        parts.note("server", "starting", at(3));
        parts.said("server", "listening", at(4));
        let view = parts.view(start, at(5));
        assert_eq!(view.running.len(), 1);
        assert_eq!(view.running[0].label, "server");
        assert_eq!(view.running[0].line, "listening");
        assert_eq!(view.running[0].time, Duration::from_secs(2));
        assert_eq!(
            view.totals.as_deref(),
            Some("starting; 5.0 s; ready: postgresql")
        );
    }
}
