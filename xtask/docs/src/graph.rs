//! The graph of a vault on disk, for questions about it and pictures of it.

use std::time::SystemTime;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use sys::process::Processes;
use vault::date::Date;
use vault::rules::graph::{self, Graph};
use vault::rules::settings::Environment;
use vault::tree::{Tree, read_text};

use crate::config::Config;
use crate::source::{Source, shown, vault_root};

/// A vault, and where it is.
pub struct OnDisk {
    /// Its graph, without the files in which nothing is reported.
    pub graph: Graph,
    /// Its folder, absolute.
    pub root: Utf8PathBuf,
    /// The folder as it is shown: from the root of the repository.
    pub folder: Utf8PathBuf,
}

/// Reads a vault of a repository, by default its `docs`.
pub fn read(repository: &Utf8Path, named: Option<&Utf8Path>) -> Result<OnDisk> {
    let processes = Processes::new(false)?;
    let root = vault_root(repository, named)?;
    let source = Source::new(&processes, repository, root);
    let root = &source.root;
    let config = Config::of_vault(root)?;
    let also = config.also.iter().filter(|_| source.base().is_some());
    let also: Vec<_> = also.map(|path| source.seen_from_vault(path)).collect();
    let tree = Tree::walk(root)?;
    let environment = Environment {
        today: Date::of(SystemTime::now()),
        max_age: None,
        path_exists: &|_| None,
        command_fault: &|_| None,
        help: &|_| None,
        file_exists: &|path| root.join(path).exists(),
        renamed: &|_| None,
        changed: &|_| None,
        also: &also,
        folder: source.folder(),
    };
    let read = |path: &Utf8Path| read_text(&root.join(path));
    let mut graph = graph::graph(&tree, &read, &config.rules, &environment);
    let ignored = source.passed_over(&config);
    graph.retain(|path| !config.excludes(path, &ignored));
    Ok(OnDisk {
        graph,
        folder: shown(repository, root).to_owned(),
        root: root.clone(),
    })
}

impl OnDisk {
    /// A path of the vault as it is shown.
    pub fn shown(&self, path: &Utf8Path) -> Utf8PathBuf {
        sys::files::normalized(self.folder.join(path))
    }
}
