//! Comments in a card that switch codes off.

use std::ops::RangeInclusive;

use crate::card::Content;
use crate::finding::{Code, Finding};
use crate::resolve::nearest;

/// A range of lines, and the codes that are switched off in it; no codes: all.
pub(crate) type Suppression = (RangeInclusive<u32>, Vec<String>);

/// What comments in a card switch off.
///
/// `ignore CODE...`: its own line and the next; `off CODE...` to `on`, or to the end;
/// `ignore-file CODE...`: all of the card.
pub(crate) fn suppressions(content: &Content) -> Vec<Suppression> {
    let mut ranges = Vec::new();
    let mut open: Option<(u32, Vec<String>)> = None;
    for (words, place) in &content.controls {
        let mut words = words.split([' ', ',']).filter(|word| !word.is_empty());
        let verb = words.next().unwrap_or_default();
        let codes: Vec<String> = words.map(str::to_owned).collect();
        match verb {
            "ignore" => ranges.push((place.line..=place.line + 1, codes)),
            "ignore-file" => ranges.push((0..=u32::MAX, codes)),
            "off" => open = Some((place.line, codes)),
            "on" => {
                if let Some((first, codes)) = open.take() {
                    ranges.push((first..=place.line, codes));
                }
            }
            _ => {}
        }
    }
    if let Some((first, codes)) = open {
        ranges.push((first..=u32::MAX, codes));
    }
    ranges
}

/// What is wrong with the words of a comment: they switch nothing off, and somebody believes that they do.
pub(crate) fn unknown_words(words: &str) -> Vec<String> {
    let mut words = words.split([' ', ',']).filter(|word| !word.is_empty());
    let verb = words.next().unwrap_or_default();
    if !["ignore", "ignore-file", "off", "on"].contains(&verb) {
        return vec![format!("`{verb}` is not known here")];
    }
    let names = || Code::ALL.iter().map(|code| code.name());
    let unknown = words.filter(|word| !names().any(|name| name == *word));
    unknown
        .map(|word| match nearest(word, names()) {
            Some(near) => format!("there is no code `{word}`: did you mean `{near}`?"),
            None => format!("there is no code `{word}`"),
        })
        .collect()
}

/// Whether a finding is suppressed by its card.
pub(crate) fn is_suppressed(suppressions: &[Suppression], finding: &Finding) -> bool {
    suppressions.iter().any(|(lines, codes)| {
        lines.contains(&finding.place.line)
            && (codes.is_empty() || codes.iter().any(|code| code == finding.code.name()))
    })
}
