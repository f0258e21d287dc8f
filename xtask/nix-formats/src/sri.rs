//! Hashes as Nix writes them: SRI (`sha256-<base 64>`) and Nix's own base 32.
//!
//! Formats without I/O. Nix's base 32 leaves out the letters e, o, t and u and writes the digest from
//! its last bits to its first (`printHash32` in Nix's `libutil/hash.cc`).

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// Nix's base-32 alphabet.
const BASE32: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
/// The base-64 alphabet of RFC 4648.
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A hash algorithm that pins may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-256: 32 bytes.
    Sha256,
    /// SHA-512: 64 bytes.
    Sha512,
}

/// A hash with a digest of the right length; written as `sha256-…=` or `sha512-…==`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sri {
    algorithm: Algorithm,
    digest: Vec<u8>,
}

/// Nix's base 32 of `bytes`: `⌈8n / 5⌉` characters.
pub fn base32(bytes: &[u8]) -> String {
    let length = (bytes.len() * 8).div_ceil(5);
    (0..length)
        .rev()
        .map(|n| {
            let bit = n * 5;
            let (byte, shift) = (bit / 8, bit % 8);
            let low = u16::from(bytes[byte]) >> shift;
            let high = bytes
                .get(byte + 1)
                .map_or(0, |next| u16::from(*next) << (8 - shift));
            char::from(BASE32[usize::from((low | high) & 0x1f)])
        })
        .collect()
}

/// Base 16, in lower case.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from_digit(u32::from(n), 16);
    let digits = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.flatten().collect()
}

/// Base 64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .fold(0_u32, |group, byte| (group << 8) | u32::from(*byte));
        let group = group << (8 * (3 - chunk.len()));
        for n in 0..4 {
            if n <= chunk.len() {
                let index = (group >> (18 - 6 * n)) & 0x3f;
                text.push(char::from(BASE64[index as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

/// The bytes of canonical, padded base 64; `None` for anything else.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let mut group = 0_u32;
    let mut bits = 0;
    for digit in digits.bytes() {
        let value = BASE64.iter().position(|known| *known == digit)?;
        group = (group << 6) | u32::try_from(value).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((group >> bits) & 0xff).ok()?);
        }
    }
    // Bits that stand for nothing must be zero, else two texts would name one digest.
    (group & ((1 << bits) - 1) == 0 && base64(&bytes).len() == text.len()).then_some(bytes)
}

impl Algorithm {
    /// As Nix writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The algorithm that Nix calls so.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha512]
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }

    fn digest_length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl Sri {
    /// The hash with this SHA-256 digest.
    pub fn sha256(digest: [u8; 32]) -> Self {
        Self {
            algorithm: Algorithm::Sha256,
            digest: digest.to_vec(),
        }
    }

    /// The hash with this digest; `None` when its length is wrong.
    pub fn new(algorithm: Algorithm, digest: Vec<u8>) -> Option<Self> {
        (digest.len() == algorithm.digest_length()).then_some(Self { algorithm, digest })
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its bytes.
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }

    /// The digest, when this is a SHA-256.
    pub fn as_sha256(&self) -> Option<&[u8]> {
        (self.algorithm == Algorithm::Sha256).then_some(self.digest.as_slice())
    }

    /// Only the digest, in Nix's base 32.
    pub fn to_base32(&self) -> String {
        base32(&self.digest)
    }
}

impl fmt::Display for Sri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.algorithm.name(), base64(&self.digest))
    }
}

impl FromStr for Sri {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (algorithm, encoded) = [Algorithm::Sha256, Algorithm::Sha512]
            .into_iter()
            .find_map(|algorithm| {
                let rest = text.strip_prefix(algorithm.name())?.strip_prefix('-')?;
                Some((algorithm, rest))
            })
            .ok_or_else(|| {
                format!("malformed hash `{text}`: it must start with `sha256-` or `sha512-`")
            })?;
        let digest = from_base64(encoded)
            .ok_or_else(|| format!("malformed hash `{text}`: `{encoded}` is not padded base 64"))?;
        let (wanted, found) = (algorithm.digest_length(), digest.len());
        if wanted != found {
            return Err(format!(
                "malformed hash `{text}`: {found} bytes where {} has {wanted}",
                algorithm.name()
            ));
        }
        Ok(Self { algorithm, digest })
    }
}

impl<'de> Deserialize<'de> for Sri {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::json::from_text(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn base32_as_nix_prints_it() {
        // `nix hash file --base32` and `nix hash file` of a file with the text "hi\n".
        let sri: Sri = "sha256-mOpuTyFvL7S2n/+bOkSELDhobKaF8/VdxIxdP7EQe+Q="
            .parse()
            .unwrap();
        assert_eq!(
            sri.to_base32(),
            "1r3v22qkypccqifzbww5lrn6hf1chi23m6zzkyvb8bvg457nxslq"
        );
    }

    #[test]
    fn malformed_hashes_are_named() {
        let zeros = "A".repeat(43);
        for (text, part) in [
            ("", "must start with"),
            ("md5-AAAA", "must start with"),
            ("sha256:0000", "must start with"),
            ("sha256-", "0 bytes where sha256 has 32"),
            ("sha256-AAAA", "3 bytes where sha256 has 32"),
            (&format!("sha512-{zeros}="), "32 bytes where sha512 has 64"),
            (&format!("sha256-{zeros}"), "not padded base 64"),
            (&format!("sha256-{zeros}=="), "not padded base 64"),
            (
                &format!("sha256-{}B=", "A".repeat(42)),
                "not padded base 64",
            ),
            (
                &format!("sha256-{}*=", "A".repeat(42)),
                "not padded base 64",
            ),
            (&format!("sha256-{zeros}= "), "not padded base 64"),
        ] {
            let error = text.parse::<Sri>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
            assert!(error.contains(text), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn sri_round_trip(digest in proptest::array::uniform32(any::<u8>())) {
            let sri = Sri::sha256(digest);
            prop_assert_eq!(sri.to_string().parse::<Sri>().unwrap(), sri);
        }

        #[test]
        fn base64_round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(from_base64(&base64(&bytes)).unwrap(), bytes);
        }

        #[test]
        fn base32_keeps_every_bit(bytes in proptest::collection::vec(any::<u8>(), 0..70)) {
            let text = base32(&bytes);
            prop_assert_eq!(text.len(), (bytes.len() * 8).div_ceil(5));
            let mut back = vec![0_u8; bytes.len()];
            for (n, character) in text.bytes().rev().enumerate() {
                let value = BASE32.iter().position(|known| *known == character).unwrap();
                for bit in (0..5).filter(|bit| value >> bit & 1 == 1) {
                    back[(n * 5 + bit) / 8] |= 1 << ((n * 5 + bit) % 8);
                }
            }
            prop_assert_eq!(back, bytes);
        }
    }
}
