//! The baseline of an old vault: findings that are known and not reported.

use std::collections::HashMap;

use anyhow::Result;
use camino::Utf8Path;
use sys::inside::read_text;
use vault::finding::Finding;
use vault::tree::LARGEST;

/// A finding as the baseline knows it, without its line, which changes.
pub fn known_as(finding: &Finding) -> String {
    format!(
        "{}: {}: {}",
        finding.path,
        finding.code.name(),
        without_suggestion(&finding.message)
    )
}

/// A message without the name that is the most like the wrong one: a new card may be more like it.
fn without_suggestion(message: &str) -> &str {
    message
        .split_once(": did you mean ")
        .map_or(message, |(what, _)| what)
}

/// How many findings the baseline knew, and how many of its lines no finding has any more.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    pub known: usize,
    pub stale: usize,
}

/// Removes the findings of the baseline, each line once.
pub fn forget_known(findings: &mut Vec<Finding>, baseline: &Utf8Path) -> Result<Known> {
    if !baseline.is_file() {
        return Ok(Known::default());
    }
    let text = read_text(baseline, LARGEST)?;
    let mut known: HashMap<&str, usize> = HashMap::new();
    for line in text.lines() {
        *known.entry(without_suggestion(line)).or_default() += 1;
    }
    let before = findings.len();
    findings.retain(|finding| match known.get_mut(known_as(finding).as_str()) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    });
    Ok(Known {
        known: before - findings.len(),
        stale: known.values().sum(),
    })
}
