//! Names as they are compared: how characters are composed makes no difference on macOS, nor does case.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// A name in composed characters (NFC), as it is typed.
pub fn composed(name: &str) -> Cow<'_, str> {
    if name.is_ascii() || is_nfc(name) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(name.nfc().collect())
    }
}

/// A stem or path in lower case, composed: what differs otherwise only can be one file.
pub fn folded(stem: &str) -> Cow<'_, str> {
    if stem
        .bytes()
        .all(|b| b.is_ascii() && !b.is_ascii_uppercase())
    {
        Cow::Borrowed(stem)
    } else {
        Cow::Owned(composed(stem).to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_can_be_one_file() {
        for (one, other) in [
            ("Caf\u{e9}", "cafe\u{301}"),
            ("a/B", "A/b"),
            ("\u{c5}", "\u{212b}"),
        ] {
            assert_eq!(folded(one), folded(other), "{one}");
        }
        assert_ne!(folded("cafe"), folded("caf\u{e9}"));
        assert_eq!(composed("cafe\u{301}"), "caf\u{e9}");
        assert!(matches!(composed("caf\u{e9}"), Cow::Borrowed(_)));
        assert!(matches!(folded("how-to/x.md"), Cow::Borrowed(_)));
    }
}
