//! What is built: the pinned release, the sample, or a working tree.

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::pins::{self, Nixpkgs, Pins, Version};
use crate::repo::Repo;

/// What a folder must hold to be a source tree of authentik: what the components take from it.
const TREE_HAS: [&str; 3] = ["schema.yml", "package.json", "scripts/api/ts-templates"];

/// The sources of a run.
#[derive(Debug)]
pub struct Sources {
    /// A tree in place of the pinned sources; absolute.
    pub tree: Option<Utf8PathBuf>,
    /// The pins file, if it is not the release's; absolute.
    pub pins_file: Option<Utf8PathBuf>,
    /// The content of the pins file.
    pub pins: Pins,
    /// The pinned nixpkgs: from these pins, else from the release's.
    pub nixpkgs: Option<Nixpkgs>,
    /// The pins file; absolute.
    pub pins_path: Utf8PathBuf,
    /// The pins file that the pinned nixpkgs is from; absolute.
    pub nixpkgs_path: Utf8PathBuf,
    /// The sources in a few words.
    pub shown: String,
    /// The folder for links to results, below that of the release's: empty for the release itself, so
    /// that other builds don't take the place of its results.
    pub results: &'static str,
}

/// Which sources were asked for.
#[derive(Debug, Default)]
pub struct Asked<'a> {
    /// The sample.
    pub sample: bool,
    /// A working tree.
    pub tree: Option<&'a Utf8Path>,
    /// Another pins file.
    pub pins: Option<&'a Utf8Path>,
}

/// Finds and checks the sources.
pub fn resolve(repo: &Repo, asked: &Asked<'_>) -> Result<Sources> {
    // The sample's pins name its files themselves: what lies there has to be what they say.
    let tree = asked.tree.map(source_tree).transpose()?;
    let tree_version = tree.as_deref().map(tree_version).transpose()?;
    let pins_file = match asked.pins {
        Some(path) => Some(path.canonicalize_utf8().map_err(|error| {
            anyhow::Error::new(error).context(format!("cannot read the pins `{path}`"))
        })?),
        None if asked.sample => Some(repo.sample().join("pins.json")),
        None => None,
    };
    let path = pins_file.clone().unwrap_or_else(|| repo.pins());
    let pins_shown = repo.shown(&path).to_owned();
    let mut pins = pins::read(&path, &pins_shown)?;
    let mut nixpkgs = pins.nixpkgs.take();
    let mut nixpkgs_path = path.clone();
    if nixpkgs.is_none() && pins_file.is_some() {
        let release = repo.pins();
        nixpkgs = pins::read(&release, repo.shown(&release))?.nixpkgs;
        nixpkgs_path = release;
    }
    let version = &pins.version;
    let name = if pins_file.is_some() {
        pins_shown.as_str()
    } else {
        "pins.json"
    };
    let (shown, results) = match (&tree, &tree_version) {
        (Some(tree), Some(of_tree)) => (
            format!("{tree} {of_tree}, the rest from {name} {version}"),
            "source",
        ),
        _ if asked.sample => (format!("sample {version}"), "sample"),
        _ => (
            format!("{name} {version}"),
            if pins_file.is_some() { "pins" } else { "" },
        ),
    };
    Ok(Sources {
        tree,
        pins_file,
        pins,
        nixpkgs,
        pins_path: path,
        nixpkgs_path,
        shown,
        results,
    })
}

/// The version that the `package.json` of a source tree gives; it becomes that of the components.
fn tree_version(tree: &Utf8Path) -> Result<Version> {
    #[derive(serde::Deserialize)]
    struct Manifest {
        version: Version,
    }
    let path = tree.join("package.json");
    let text = fs_err::read_to_string(&path)?;
    let manifest: Manifest = pins::from_json(&text, &path)?;
    Ok(manifest.version)
}

/// The absolute path of a source tree of authentik.
fn source_tree(path: &Utf8Path) -> Result<Utf8PathBuf> {
    let absolute = path.canonicalize_utf8().map_err(|error| {
        anyhow::Error::new(error).context(format!("cannot use `{path}` as a source"))
    })?;
    if !absolute.is_dir() {
        bail!("cannot use `{path}` as a source: it is no folder");
    }
    let missing: Vec<String> = TREE_HAS
        .iter()
        .filter(|entry| !absolute.join(entry).exists())
        .map(|entry| format!("`{entry}`"))
        .collect();
    if !missing.is_empty() {
        bail!(
            "`{path}` is no source tree of authentik: it lacks {}; give the root of a checkout",
            missing.join(", ")
        );
    }
    Ok(absolute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_tree() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Utf8Path::from_path(folder.path()).unwrap();
        let file = tree.join("package.json");
        for (text, expected) in [
            (
                r#"{ "version": "2026.2.0-rc1", "other": 1 }"#,
                Ok("2026.2.0-rc1"),
            ),
            ("{\n \"version\": \"a b\" }", Err("package.json:2:")),
            ("{ }", Err("missing field `version`")),
            ("{", Err("package.json:1:")),
        ] {
            crate::output::write_atomically(&file, text.as_bytes(), 0o644).unwrap();
            match (tree_version(tree), expected) {
                (Ok(version), Ok(expected)) => assert_eq!(version.to_string(), expected),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn trees_are_recognised() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap();
        let message = source_tree(path).unwrap_err().to_string();
        assert!(
            message.contains("lacks `schema.yml`, `package.json`, `scripts/api/ts-templates`;"),
            "{message}"
        );
        let file = path.join("schema.yml");
        crate::output::write_atomically(&file, b"", 0o644).unwrap();
        assert!(
            source_tree(&file)
                .unwrap_err()
                .to_string()
                .contains("no folder")
        );
        let missing = path.join("none");
        assert!(format!("{:#}", source_tree(&missing).unwrap_err()).contains(missing.as_str()));
        crate::output::write_atomically(&path.join("package.json"), b"", 0o644).unwrap();
        fs_err::create_dir_all(path.join("scripts/api/ts-templates")).unwrap();
        assert_eq!(
            source_tree(path).unwrap(),
            path.canonicalize_utf8().unwrap()
        );
    }
}
