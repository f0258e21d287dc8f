//! Texts as parts of URLs: the anchors of headings, as GitHub's slugger makes them, and percent-encoding.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use unicode_normalization::char::is_combining_mark;

/// The anchor of a heading's text, before duplicates are numbered: lower case, punctuation dropped,
/// blanks to `-`.
pub fn slug(text: &str) -> String {
    let mut slug = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            ' ' | '\t' | '\n' => slug.push('-'),
            '-' | '_' => slug.push(c),
            c if c.is_ascii_alphanumeric() => slug.push(c.to_ascii_lowercase()),
            c if is_other_number(c) => {}
            // An accent may be a mark of its own, and so is much of a word in other scripts.
            c if c.is_alphanumeric() || !c.is_ascii() && is_combining_mark(c) => {
                slug.extend(c.to_lowercase());
            }
            _ => {}
        }
    }
    slug
}

/// Numbers that are neither digits nor letters: `m²`, `½`, `①`. They are dropped.
fn is_other_number(c: char) -> bool {
    matches!(c, '²' | '³' | '¹' | '¼'..='¾' | '\u{2070}'..='\u{2089}' | '\u{2150}'..='\u{215f}' | '\u{2189}'
        | '\u{2460}'..='\u{249b}' | '\u{24ea}'..='\u{24ff}' | '\u{2776}'..='\u{2793}' | '\u{3192}'..='\u{3195}'
        | '\u{3220}'..='\u{3229}' | '\u{3248}'..='\u{324f}' | '\u{3251}'..='\u{325f}' | '\u{3280}'..='\u{3289}'
        | '\u{32b1}'..='\u{32bf}' | '\u{1f100}'..='\u{1f10c}')
        && !matches!(c, '\u{2071}' | '\u{207f}')
}

/// A text in which each character that is not safe, asked by its place, is percent-encoded.
pub fn percent_encoded(text: &str, is_safe: impl Fn(usize, char) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if is_safe(at, c) {
            encoded.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// Numbers the anchors of one card: the second `notes` is `notes-1`.
#[derive(Debug, Default)]
pub struct Slugger {
    seen: BTreeMap<String, u32>,
}

impl Slugger {
    /// The anchor of the next heading.
    pub fn next(&mut self, text: &str) -> String {
        let slug = slug(text);
        let Some(mut count) = self.seen.get(&slug).copied() else {
            self.seen.insert(slug.clone(), 0);
            return slug;
        };
        loop {
            count += 1;
            let numbered = format!("{slug}-{count}");
            if !self.seen.contains_key(&numbered) {
                self.seen.insert(slug, count);
                self.seen.insert(numbered.clone(), 0);
                return numbered;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs() {
        for (text, expected) in [
            ("Overview", "overview"),
            ("What it is, exactly", "what-it-is-exactly"),
            ("snake_case and C#", "snake_case-and-c"),
            ("Über Straße", "über-straße"),
            ("a - b", "a---b"),
            ("  edges  ", "edges"),
            ("1.2 numbers", "12-numbers"),
            ("e\u{301}t", "e\u{301}t"),
            ("🚀 up", "-up"),
            ("हिन्दी शब्द", "हिन्दी-शब्द"),
            ("ที่นี่ ครับ", "ที่นี่-ครับ"),
            ("Area in m²", "area-in-m"),
            ("½ Ⅷ ٣ ⁿ", "-ⅷ-٣-ⁿ"),
        ] {
            assert_eq!(slug(text), expected);
        }
    }

    #[test]
    fn duplicates_are_numbered() {
        let mut slugger = Slugger::default();
        let slugs = ["Notes", "Notes", "Notes 1", "Notes"].map(|text| slugger.next(text));
        assert_eq!(slugs, ["notes", "notes-1", "notes-1-1", "notes-2"]);
    }
}
