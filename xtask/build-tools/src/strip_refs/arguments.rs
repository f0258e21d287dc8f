//! The arguments of `build-tools strip-refs`, read by hand: a parser would be most of what Nix compiles.

use std::ffi::OsString;

use anyhow::{Context as _, Result, bail, ensure};

use super::options::Options;
use super::scan::{self, Hash, LENGTH};

/// What `--help` prints.
pub const USAGE: &str = "usage: build-tools strip-refs PATH... [OPTION...]

Removes references to the Nix store from files: the 32 characters of each hash become `e`.

  --store-dir DIR    the store directory (/nix/store)
  --keep STOREPATH   keep references to this store path
  --also STOREPATH   treat the hash of this store path as a reference wherever it occurs
  --links            remove references from the targets of symbolic links too
  --venv             remove bin, __pycache__ and *.pyc too, and replace the interpreter's prefix in
                     pyvenv.cfg by @python@
  --check            change nothing, list the references as `path:offset: store path`
  --dry-run          change nothing, list what would be changed
  --json             list references as JSON lines with path, offset, store_path
  --jobs N           number of threads (default: number of processors)

Exit codes: 0 no reference is left, 1 some are, 2 could not run.
";

/// The options, or `None` if help is asked for.
pub fn parse(arguments: &[OsString]) -> Result<Option<Options>> {
    let mut options = Options {
        store_dir: "/nix/store".to_owned(),
        ..Options::default()
    };
    let mut rest = arguments.iter();
    let mut only_paths = false;
    while let Some(argument) = rest.next() {
        let text = argument
            .to_str()
            .filter(|text| !only_paths && text.starts_with('-'));
        let Some(text) = text else {
            options.paths.push(argument.clone());
            continue;
        };
        let (name, given) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let mut value = || -> Result<String> {
            let next = || {
                rest.next()
                    .and_then(|value| value.to_str())
                    .map(str::to_owned)
            };
            given
                .clone()
                .or_else(next)
                .with_context(|| format!("`{name}` needs a value"))
        };
        match name {
            "--store-dir" => options.store_dir = value()?,
            "--keep" => options.keep.push(value()?),
            "--also" => options.also.push(value()?),
            "--jobs" => {
                let value = value()?;
                let jobs = value.parse().ok().filter(|jobs| *jobs > 0);
                options.jobs = Some(
                    jobs.with_context(|| format!("`--jobs {value}` is not a number of threads"))?,
                );
            }
            _ if given.is_some() => bail!("there is no option `{name}` with a value\n\n{USAGE}"),
            "--links" => options.links = true,
            "--venv" => options.venv = true,
            "--check" => options.check = true,
            "--dry-run" => options.dry_run = true,
            "--json" => options.json = true,
            "-h" | "--help" => return Ok(None),
            "--" => only_paths = true,
            _ => bail!("there is no option `{name}`\n\n{USAGE}"),
        }
    }
    ensure!(!options.paths.is_empty(), "no path given\n\n{USAGE}");
    ensure!(
        !(options.check && options.dry_run),
        "`--check` and `--dry-run` cannot be used together"
    );
    Ok(Some(options))
}

/// The hash, and the name if there is one, of a store path as path, `HASH-name` or hash.
pub fn store_path(text: &str, store: &str) -> Result<(Hash, Option<Vec<u8>>)> {
    let prefix = format!("{}/", store.trim_end_matches('/'));
    let base = text.strip_prefix(&prefix).unwrap_or(text);
    let base = base.split('/').next().unwrap_or(base).as_bytes();
    if let Some((hash, name)) = scan::hash_and_name(base)
        && base.len() == LENGTH + 1 + name.len()
    {
        return Ok((*hash, Some(name.to_vec())));
    }
    let hash: Option<Hash> = base.try_into().ok();
    let hash = hash.filter(|hash| hash.iter().all(|byte| scan::in_alphabet(*byte)));
    let hash = hash.with_context(|| {
        format!(
            "`{text}` is not a store path: `{prefix}HASH-NAME`, with 32 characters of Nix's base 32"
        )
    })?;
    Ok((hash, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdfghijklmnpqrsvwxyz";

    #[test]
    fn store_paths() {
        let name = |name: &str| Some(name.as_bytes().to_vec());
        for (text, expected) in [
            (
                format!("/nix/store/{HASH}-bash-5.3"),
                Some(name("bash-5.3")),
            ),
            (
                format!("/nix/store/{HASH}-bash-5.3/bin/bash"),
                Some(name("bash-5.3")),
            ),
            (format!("{HASH}-bash"), Some(name("bash"))),
            (HASH.to_owned(), Some(None)),
            (format!("/gnu/store/{HASH}-bash"), None),
            (format!("{HASH}0"), None),
            (format!("{HASH}-"), None),
            (format!("{HASH}-a b"), None),
            (HASH.replace('a', "e"), None),
            (String::new(), None),
        ] {
            let parsed = store_path(&text, "/nix/store/").ok();
            assert_eq!(parsed.map(|(_, name)| name), expected, "{text}");
        }
    }

    #[test]
    fn arguments() {
        let parse = |text: &str| {
            parse(
                &text
                    .split_whitespace()
                    .map(OsString::from)
                    .collect::<Vec<_>>(),
            )
        };
        let options =
            parse("a --jobs=3 --keep x --keep y --also z --store-dir /s --json -- --check")
                .unwrap()
                .unwrap();
        assert_eq!(options.paths, ["a", "--check"]);
        assert_eq!(
            (options.jobs, options.keep, options.also),
            (
                Some(3),
                vec!["x".to_owned(), "y".to_owned()],
                vec!["z".to_owned()]
            )
        );
        assert_eq!(options.store_dir, "/s");
        assert!(options.json && !options.check && !options.venv);
        assert!(parse("a --help").unwrap().is_none());
        for (text, part) in [
            ("", "no path given"),
            ("a --keep", "`--keep` needs a value"),
            ("a --jobs 0", "not a number of threads"),
            ("a --chekc", "no option `--chekc`"),
            ("a --check=1", "no option `--check` with a value"),
            ("a --check --dry-run", "cannot be used together"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
