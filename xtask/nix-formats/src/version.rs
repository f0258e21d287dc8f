//! Versions of Nix, as its programs print them.

use std::fmt;
use std::str::FromStr;

/// A version of Nix, such as 2.8.0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NixVersion {
    major: u32,
    minor: u32,
    /// As Nix gives it.
    text: String,
}

impl NixVersion {
    /// A version by its first two numbers.
    pub fn new(major: u32, minor: u32) -> Self {
        Self {
            major,
            minor,
            text: format!("{major}.{minor}"),
        }
    }

    /// Whether this is the version `major.minor` or a later one.
    pub fn is_at_least(&self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }
}

impl FromStr for NixVersion {
    type Err = ();

    /// Takes the last word of `nix-store (Nix) 2.26.3` or `nix-store (Lix, like Nix) 2.91.0`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text
            .lines()
            .next()
            .and_then(|line| line.split_whitespace().last())
            .ok_or(())?;
        let mut numbers = text.split(|character: char| !character.is_ascii_digit());
        let mut number = || {
            numbers
                .next()
                .and_then(|digits| digits.parse().ok())
                .ok_or(())
        };
        Ok(Self {
            major: number()?,
            minor: number()?,
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for NixVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, major, minor) in [
            ("nix-store (Nix) 2.8.0\n", 2, 8),
            ("nix-store (Nix) 2.18.1pre20231001_abc", 2, 18),
            (
                "nix-store (Lix, like Nix) 2.91.0\nSystem type: x86_64-linux",
                2,
                91,
            ),
            ("nix-store (Nix) 3.0", 3, 0),
        ] {
            let version: NixVersion = text.parse().unwrap();
            assert_eq!((version.major, version.minor), (major, minor), "{text}");
        }
        for text in ["", "nix-store", "nix-store (Nix) 2", "nix-store x.y"] {
            assert_eq!(text.parse::<NixVersion>(), Err(()), "{text}");
        }
        let old: NixVersion = "nix-store (Nix) 2.8.0".parse().unwrap();
        assert!(old.is_at_least(2, 8) && !old.is_at_least(2, 18) && !old.is_at_least(3, 0));
        assert!(NixVersion::new(3, 1).is_at_least(2, 18));
    }
}
