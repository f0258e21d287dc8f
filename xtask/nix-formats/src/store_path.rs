//! The store path of fixed content, computed without Nix.
//!
//! A fixed output is named by its hash and name alone (`makeFixedOutputPath` in Nix's
//! `libstore/store-api.cc`), so whether it is in the store can be asked without evaluating.

use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};

use crate::sri::{Sri, base32, hex};

/// Where a tree with this SHA-256 (of its NAR) and this name lives below `store`.
pub fn recursive_sha256(store: &Utf8Path, name: &str, nar_sha256: &[u8]) -> Utf8PathBuf {
    named(store, name, "source", &hex(nar_sha256))
}

/// Where a fixed output with this hash, of its NAR or of a single file's bytes, and this name lives
/// below `store`.
pub fn fixed_output(store: &Utf8Path, name: &str, recursive: bool, hash: &Sri) -> Utf8PathBuf {
    if recursive && let Some(digest) = hash.as_sha256() {
        return recursive_sha256(store, name, digest);
    }
    let mode = if recursive { "r:" } else { "" };
    let inner = format!(
        "fixed:out:{mode}{}:{}:",
        hash.algorithm().name(),
        hex(hash.digest())
    );
    named(store, name, "output:out", &hex(&Sha256::digest(inner)))
}

fn named(store: &Utf8Path, name: &str, kind: &str, inner: &str) -> Utf8PathBuf {
    let fingerprint = Sha256::digest(format!("{kind}:sha256:{inner}:{store}:{name}"));
    let mut short = [0_u8; 20];
    for (n, byte) in fingerprint.iter().enumerate() {
        short[n % 20] ^= byte;
    }
    store.join(format!("{}-{name}", base32(&short)))
}

/// The name of a store path or of a store derivation: without folder, hash and `.drv`.
pub fn name_of(path: &str) -> &str {
    let base = path.rsplit('/').next().unwrap_or(path);
    let base = base.strip_suffix(".drv").unwrap_or(base);
    match base.split_once('-') {
        Some((hash, name)) if hash.len() == 32 => name,
        _ => base,
    }
}

/// Whether a text is a path directly below a store, and nothing else: an absolute folder, a hash in base 32, a
/// dash and a name of the characters that Nix allows.
pub fn is_store_path(text: &str) -> bool {
    let Some((folder, base)) = text.rsplit_once('/') else {
        return false;
    };
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let has_folder = folder.strip_prefix('/').is_some_and(|folder| {
        folder.split('/').all(is_plain) && !folder.contains(char::is_control)
    });
    has_folder
        && base.split_once('-').is_some_and(|(hash, name)| {
            let in_base32 = |byte: u8| b"0123456789abcdfghijklmnpqrsvwxyz".contains(&byte);
            hash.len() == 32 && hash.bytes().all(in_base32) && is_name(name)
        })
}

/// Whether a text is the path of a store derivation.
pub fn is_derivation(text: &str) -> bool {
    text.strip_suffix(".drv").is_some_and(is_store_path)
}

/// Whether a text can be the name in a store path (`checkName` in Nix's `libstore/path.cc`).
pub fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte);
    (1..=211).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(is_allowed)
}

/// What the name of the folder begins with that Nix makes for a build, and removes when it ends
/// (`LocalDerivationGoal::startBuilder`).
pub fn build_folder(drv: &str) -> String {
    format!("nix-build-{}.drv-", name_of(drv))
}

/// The first eight characters of the hash of a store path.
pub fn short_hash(path: &str) -> &str {
    let base = path.rsplit('/').next().unwrap_or(path);
    base.get(..8).unwrap_or(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_store_and_nothing_else() {
        let hash = "6506wv90034i61g33h3i7jn1bv2fqm8a";
        for good in ["/nix/store", "/home/a b/store"] {
            assert!(is_store_path(&format!("{good}/{hash}-source-1.0_?=+")));
            assert!(is_derivation(&format!("{good}/{hash}-a.drv")));
        }
        for bad in [
            format!("{hash}-a"),
            format!("nix/store/{hash}-a"),
            format!("/{hash}-a"),
            format!("/nix/../{hash}-a"),
            format!("/nix//{hash}-a"),
            format!("/nix/store/{hash}-a/b"),
            format!("/nix/store/{hash}-"),
            format!("/nix/store/{hash}-.a"),
            format!("/nix/store/{hash}-a\u{1b}[2J"),
            format!("/nix/\nstore/{hash}-a"),
            format!("/nix/store/{}-a", hash.replace('0', "e")),
            format!("/nix/store/{hash}-{}", "a".repeat(212)),
            "/home/u/.ssh/authorized_keys".to_owned(),
            String::new(),
        ] {
            assert!(!is_store_path(&bad), "{bad:?}");
        }
        assert!(!is_derivation(&format!("/nix/store/{hash}-a")));
    }

    #[test]
    fn as_nix_names_it() {
        // Golden: `nix-store --print-fixed-path --recursive sha256 <hash in base 16> source`.
        let sri: Sri = "sha256-YaHht/C35INEX3DeJQNWjNaTcPjYmBwwjFJ2jdtr+5U="
            .parse()
            .unwrap();
        let path = recursive_sha256("/nix/store".into(), "source", sri.as_sha256().unwrap());
        assert_eq!(path, "/nix/store/6506wv90034i61g33h3i7jn1bv2fqm8a-source");
    }

    #[test]
    fn names() {
        let drv = "/nix/store/sysgjhk3i8aszp10fxvb52i52ifj0j6l-fails-1.2.drv";
        assert_eq!(name_of(drv), "fails-1.2");
        assert_eq!(short_hash(drv), "sysgjhk3");
        assert_eq!(name_of("odd"), "odd");
        assert_eq!(short_hash("odd"), "odd");
    }
}
