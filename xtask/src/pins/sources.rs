//! Where sources come from: the pinned release, the sample, or a working tree.

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::pins::{self, Nixpkgs, Pins, Version};
use crate::repo::{Container, Repo};
use nix_formats::json;
use sys::inside::{self, Inside, LONGEST_TEXT};

/// The folders for links to results of a working tree, of the sample, and of other pins.
pub const RESULTS: [&str; 3] = ["source", "sample", "pins"];

/// What a container says of the trees that it can be built from: its source-tree.json.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceTree {
    /// What a folder has to hold: what the components take from it.
    pub has: Vec<Utf8PathBuf>,
    /// The JSON file below it whose `version` becomes that of the components.
    pub version: Utf8PathBuf,
    /// The entry of `sources` in the pins that is such a tree, and whose tags are the releases.
    pub source: Option<String>,
    /// Files that say which tools a tree needs: go.mod, package.json, pyproject.toml.
    #[serde(default)]
    pub requirements: Vec<Utf8PathBuf>,
    /// YAML files with the defaults of settings.
    #[serde(default)]
    pub defaults: Vec<Utf8PathBuf>,
    /// Folders that components are built from without the rest.
    #[serde(default)]
    pub parts: Vec<Utf8PathBuf>,
}

/// The sources of a container in a run.
#[derive(Debug)]
pub struct Sources {
    /// The container.
    pub container: Container,
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
#[derive(Clone, Copy, Debug, Default)]
pub struct SourceOverride<'a> {
    /// The sample.
    pub sample: bool,
    /// A working tree.
    pub tree: Option<&'a Utf8Path>,
    /// Another pins file.
    pub pins: Option<&'a Utf8Path>,
}

/// Why a container can't be built from what was asked for, if so.
pub fn incompatibility(
    container: &Container,
    asked: &SourceOverride<'_>,
) -> Result<Option<String>> {
    let name = &container.name;
    if asked.sample && !container.sample_pins().is_file() {
        return Ok(Some(format!(
            "{name} has no sample, which would be containers/{name}/sample with a pins.json of its own"
        )));
    }
    let Some(path) = asked.tree else {
        return Ok(None);
    };
    let tree = folder(path)?;
    let Some(wants) = source_tree(container)? else {
        return Ok(Some(format!(
            "{name} is not built from a source tree: containers/{name}/source-tree.json would say \
             what one has to hold"
        )));
    };
    let missing: Vec<String> = wants
        .has
        .iter()
        .filter(|entry| !tree.join(entry).exists())
        .map(|entry| format!("`{entry}`"))
        .collect();
    Ok((!missing.is_empty()).then(|| {
        format!(
            "`{path}` is not a source tree of {name}: missing {}; give the root of a checkout",
            missing.join(", ")
        )
    }))
}

/// Finds and checks the sources of a container.
pub fn resolve(repo: &Repo, container: &Container, asked: &SourceOverride<'_>) -> Result<Sources> {
    if let Some(reason) = incompatibility(container, asked)? {
        bail!("{reason}");
    }
    // The sample's pins name its files themselves: what lies there has to be what they say.
    let tree = asked.tree.map(folder).transpose()?;
    let tree_version = match &tree {
        Some(tree) => tree_version(container, tree)?,
        None => None,
    };
    let pins_file = match asked.pins {
        Some(path) => Some(path.canonicalize_utf8().map_err(|error| {
            anyhow::Error::new(error).context(format!("cannot read the pins `{path}`"))
        })?),
        None if asked.sample => Some(container.sample_pins()),
        None => None,
    };
    let path = pins_file.clone().unwrap_or_else(|| container.pins());
    let pins_shown = repo.shown(&path).to_owned();
    let mut pins = pins::read(&path, &pins_shown)?;
    let mut nixpkgs = pins.nixpkgs.take();
    let mut nixpkgs_path = path.clone();
    if nixpkgs.is_none() && pins_file.is_some() {
        let release = container.pins();
        nixpkgs = pins::read(&release, repo.shown(&release))?.nixpkgs;
        nixpkgs_path = release;
    }
    let version = &pins.version;
    let name = &container.name;
    let (shown, results) = match (&tree, &tree_version) {
        (Some(tree), Some(of_tree)) => (
            format!("{tree} {of_tree}, the rest from {pins_shown} {version}"),
            RESULTS[0],
        ),
        _ if asked.sample => (format!("{name}'s sample {version}"), RESULTS[1]),
        _ if pins_file.is_some() => (format!("{pins_shown} {version}"), RESULTS[2]),
        _ => (format!("{name} {version}"), ""),
    };
    Ok(Sources {
        container: container.clone(),
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

/// A working tree never changes the release's pins.
pub fn refuse_to_write(repo: &Repo, asked: &SourceOverride<'_>) -> Result<()> {
    let Some(tree) = asked.tree else {
        return Ok(());
    };
    let Some(pins) = asked.pins else {
        bail!(
            "`--write-pins` with `--source {tree}` needs `--pins FILE`: a working tree never changes \
             the release's pins; make FILE a copy of the container's pins.json"
        );
    };
    for container in repo.containers()? {
        let release = container.pins();
        let shown = repo.shown(&release);
        if release.exists() && pins.canonicalize_utf8().ok() == release.canonicalize_utf8().ok() {
            bail!(
                "`--write-pins` with `--source {tree}` would change {shown}, the release's pins: give \
                 a copy of it by `--pins FILE`"
            );
        }
    }
    Ok(())
}

/// What a container says of the trees that it can be built from, if it can.
pub fn source_tree(container: &Container) -> Result<Option<SourceTree>> {
    let path = container.source_tree();
    if !path.exists() {
        return Ok(None);
    }
    json::from_json(&inside::read_text(&path, LONGEST_TEXT)?, &path).map(Some)
}

/// The version that a source tree gives itself; it becomes that of the components.
pub fn tree_version(container: &Container, tree: &Utf8Path) -> Result<Option<Version>> {
    #[derive(serde::Deserialize)]
    struct Manifest {
        version: Version,
    }
    let Some(wants) = source_tree(container)? else {
        return Ok(None);
    };
    let path = tree.join(&wants.version);
    // The tree is somebody else's: no link in it is followed.
    let bytes = Inside::open(tree)?.read(&wants.version, LONGEST_TEXT)?;
    let text = String::from_utf8(bytes).with_context(|| format!("`{path}` is not UTF-8"))?;
    let manifest: Manifest = json::from_json(&text, &path)?;
    Ok(Some(manifest.version))
}

/// The absolute path of a folder of sources.
fn folder(path: &Utf8Path) -> Result<Utf8PathBuf> {
    let absolute = path.canonicalize_utf8().map_err(|error| {
        anyhow::Error::new(error).context(format!("cannot use `{path}` as a source"))
    })?;
    if !absolute.is_dir() {
        bail!("cannot use `{path}` as a source: it is not a folder");
    }
    Ok(absolute)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sys::files::write_atomically;

    /// A container that can be built from trees with a `package.json` and `a/b`.
    fn container(folder: &Utf8Path) -> Container {
        let text = r#"{ "has": ["package.json", "a/b"], "version": "package.json" }"#;
        write_atomically(&folder.join("source-tree.json"), text.as_bytes(), 0o644).unwrap();
        Container {
            name: "app".to_owned(),
            folder: folder.to_owned(),
        }
    }

    #[test]
    fn the_version_of_a_tree() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Utf8Path::from_path(folder.path()).unwrap();
        let container = container(tree);
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
            write_atomically(&file, text.as_bytes(), 0o644).unwrap();
            match (tree_version(&container, tree), expected) {
                (Ok(version), Ok(expected)) => assert_eq!(version.unwrap().to_string(), expected),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn trees_are_recognised() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap();
        let container = container(path);
        let tree = path.join("tree");
        fs_err::create_dir(&tree).unwrap();
        let incompatibility = |tree: &Utf8Path| {
            let asked = SourceOverride {
                tree: Some(tree),
                ..SourceOverride::default()
            };
            incompatibility(&container, &asked)
        };
        let reason = incompatibility(&tree).unwrap().unwrap();
        assert!(
            reason.contains("not a source tree of app: missing `package.json`, `a/b`;"),
            "{reason}"
        );
        write_atomically(&tree.join("package.json"), b"", 0o644).unwrap();
        let message = incompatibility(&tree.join("package.json"))
            .unwrap_err()
            .to_string();
        assert!(message.contains("not a folder"), "{message}");
        let missing = tree.join("none");
        assert!(format!("{:#}", incompatibility(&missing).unwrap_err()).contains(missing.as_str()));
        fs_err::create_dir_all(tree.join("a/b")).unwrap();
        assert_eq!(incompatibility(&tree).unwrap(), None);
        fs_err::remove_file(container.source_tree()).unwrap();
        assert!(
            incompatibility(&tree)
                .unwrap()
                .unwrap()
                .contains("not built from a source tree")
        );
    }

    #[test]
    fn not_each_container_has_a_sample() {
        let folder = tempfile::tempdir().unwrap();
        let container = container(Utf8Path::from_path(folder.path()).unwrap());
        let asked = SourceOverride {
            sample: true,
            ..SourceOverride::default()
        };
        let reason = incompatibility(&container, &asked).unwrap().unwrap();
        assert!(reason.starts_with("app has no sample"), "{reason}");
        fs_err::create_dir(container.folder.join("sample")).unwrap();
        write_atomically(&container.sample_pins(), b"{}", 0o644).unwrap();
        assert_eq!(incompatibility(&container, &asked).unwrap(), None);
    }
}
