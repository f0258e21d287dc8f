//! What is built: the pinned release, the sample, or a working tree.

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::pins::{self, Nixpkgs, Pins};
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
    /// The pins file as people know it.
    pub pins_shown: Utf8PathBuf,
    /// The sources in a few words.
    pub shown: String,
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
    if nixpkgs.is_none() && pins_file.is_some() {
        let release = repo.pins();
        nixpkgs = pins::read(&release, repo.shown(&release))?.nixpkgs;
    }
    let version = &pins.version;
    let shown = match (asked.sample, &tree) {
        (true, _) => format!("sample {version}"),
        (false, Some(tree)) => format!("{tree}, the rest from {pins_shown} {version}"),
        (false, None) => {
            let name = if pins_file.is_some() {
                pins_shown.as_str()
            } else {
                "pins.json"
            };
            format!("{name} {version}")
        }
    };
    Ok(Sources {
        tree,
        pins_file,
        pins,
        nixpkgs,
        pins_shown,
        shown,
    })
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
