//! What travels to the machine that builds, and where it lies there: no more than evaluating needs.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use camino::Utf8Path;

use crate::build::config::{self, Config};
use crate::pins::sources::{self, SourceOverride, Sources};
use crate::remote::upload::Upload;
use crate::repo::Repo;

/// What of the repository beside containers takes part in builds.
const BUILD_TOOLS: [&str; 3] = ["Cargo.lock", "Cargo.toml", "src"];

/// All that a build from these sources needs.
pub fn uploads(repo: &Repo, sources: &[Sources]) -> Result<Vec<Upload>> {
    let mut uploads = vec![of_repository(repo, sources)];
    for sources in sources {
        let mut tree = of_tree(repo, sources)?;
        if !sources.pins_path.starts_with(&sources.container.folder) {
            let pins = of_pins(sources)?;
            match &mut tree {
                // A place has one name there.
                Some(tree) if pins.from.starts_with(&tree.from) => tree.take_in(&pins),
                _ => uploads.push(pins),
            }
        }
        uploads.extend(tree);
    }
    // Containers may share pins and tree.
    let mut different: Vec<Upload> = Vec::new();
    for upload in uploads {
        if !different.contains(&upload) {
            different.push(upload);
        }
    }
    Ok(different)
}

fn of_repository(repo: &Repo, sources: &[Sources]) -> Upload {
    let below = |path: &Utf8Path| repo.shown(path).to_string();
    let mut names = vec![below(&repo.host_pkgs())];
    names.extend(sources.iter().map(|it| below(&it.container.folder)));
    names.extend(BUILD_TOOLS.map(|name| format!("xtask/build-tools/{name}")));
    let sample = |sources: &Sources| {
        let sample = sources.container.sample_pins();
        let sample = sample.parent().unwrap_or(&sample);
        (!sources.pins_path.starts_with(sample)).then(|| below(sample))
    };
    Upload {
        to: "repo",
        from: repo.root.clone(),
        names: existing(&repo.root, names),
        without: sources.iter().filter_map(sample).collect(),
    }
}

/// A working tree, as far as components are built from it.
fn of_tree(repo: &Repo, sources: &Sources) -> Result<Option<Upload>> {
    let Some(tree) = &sources.tree else {
        return Ok(None);
    };
    let Config {
        tree: names,
        without,
        ..
    } = config::config(repo, &sources.container)?;
    let names = names.map_or_else(|| entries(tree), Ok)?;
    Ok(Some(Upload {
        to: "source",
        from: tree.clone(),
        names: existing(tree, names),
        without,
    }))
}

/// A pins file from elsewhere, and what it names beside it: all, where it names no source of its own and
/// lies in a tree itself.
fn of_pins(sources: &Sources) -> Result<Upload> {
    let path = &sources.pins_path;
    let folder = path.parent().unwrap_or(Utf8Path::new("/"));
    let folder_as_tree = SourceOverride {
        tree: Some(folder),
        ..SourceOverride::default()
    };
    let names_no_source = sources.tree.is_none() && sources.pins.go_source().is_none();
    let names = if names_no_source
        && sources::incompatibility(&sources.container, &folder_as_tree)?.is_none()
    {
        entries(folder)?
    } else {
        let file = path.file_name().map(str::to_owned);
        let files = sources.pins.files().map(|(_, file)| file.to_string());
        file.into_iter().chain(files).collect()
    };
    Ok(Upload {
        to: "pins",
        from: folder.to_owned(),
        names: existing(folder, names),
        without: Vec::new(),
    })
}

fn entries(folder: &Utf8Path) -> Result<Vec<String>> {
    let mut names = BTreeSet::new();
    for entry in folder.read_dir_utf8()? {
        let entry = entry.with_context(|| format!("reading the folder `{folder}`"))?;
        names.insert(entry.file_name().to_owned());
    }
    Ok(names.into_iter().collect())
}

fn existing(folder: &Utf8Path, names: Vec<String>) -> Vec<String> {
    let names = names.into_iter();
    names
        .filter(|name| folder.join(name).symlink_metadata().is_ok())
        .collect()
}
