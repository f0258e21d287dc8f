//! Where components are built, over what, and from what; and where their results go.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::build::model::Row;
use crate::build::on_host::{self, Host};
use crate::build::options::Options;
use crate::build::selection::{Names, Selection};
use crate::nix::{Inputs, Machine, Nix};
use crate::package_set::{self, Choice};
use crate::pins::sources::Sources;
use crate::remote::upload::Upload;
use crate::remote::{Forward, Remote};
use crate::repo::Repo;
use sys::process::Processes;

/// Where components are built, over what, and from what.
pub struct Site<'a> {
    /// What was asked for.
    pub options: &'a Options,
    /// This repository.
    pub repo: &'a Repo,
    /// What starts processes here.
    pub processes: &'a Processes,
    /// What was named.
    pub names: Names,
    /// The containers that may be meant.
    pub selection: Selection,
    /// Of these containers.
    pub sources: Vec<Sources>,
    /// The package set.
    pub choice: Choice,
    /// The machine that builds, if it is another.
    pub host: Option<&'a Host<'a>>,
    /// Nix, on the machine that builds.
    pub nix: Nix<'a>,
    /// What the expressions of these containers are called with.
    pub inputs: Vec<Inputs>,
}

/// What was built, and where.
pub struct Built<'a> {
    /// The machine that built.
    pub machine: Machine<'a>,
    /// This repository.
    pub repo: &'a Repo,
    /// What starts processes here.
    pub processes: &'a Processes,
    /// The container.
    pub container: String,
    /// `sample`, `source`, `pins`, or nothing for the release itself.
    pub kind: &'static str,
    /// The port that is forwarded, if another machine built.
    pub forward: Option<Forward>,
    /// The outputs by component.
    outs: BTreeMap<String, String>,
}

impl Built<'_> {
    /// The output of a component.
    pub fn out(&self, component: &str) -> Option<&str> {
        self.outs.get(component).map(String::as_str)
    }
}

impl<'a> Site<'a> {
    /// Over the package set that was asked for, or the one that can be had.
    pub fn new(
        options: &'a Options,
        repo: &'a Repo,
        processes: &'a Processes,
        (names, selection, sources): (Names, Selection, Vec<Sources>),
        host: Option<&'a Host<'a>>,
    ) -> Result<Self> {
        let asked = options.from.pkgs;
        let (choice, nix) = match host {
            Some(host) => (host.choose(asked, repo, &sources)?, host.nix()),
            None => package_set::set_up(
                asked,
                repo,
                processes,
                &sources,
                options.store.as_deref(),
                options.from.share_logins,
            )?,
        };
        let inputs = sources
            .iter()
            .map(|it| package_set::inputs(repo, choice.set, it));
        Ok(Self {
            inputs: inputs.collect(),
            options,
            repo,
            processes,
            names,
            selection,
            sources,
            choice,
            host,
            nix,
        })
    }

    /// What results of the same kind are built from and over, in a few words.
    pub fn scope(&self) -> String {
        let kind = match self.kind() {
            "" => "release",
            other => other,
        };
        let scope = format!("{} {kind}", self.choice.set.name());
        match self.remote() {
            Some(remote) => scope + " on " + remote.host(),
            None => scope,
        }
    }

    /// `sample`, `source`, `pins`, or nothing for the release itself.
    fn kind(&self) -> &'static str {
        self.sources.first().map_or("", |it| it.results)
    }

    /// What was built, to be used.
    pub fn built(&self, rows: &[Row]) -> Built<'_> {
        let outs = rows.iter().filter_map(|row| {
            let out = row.out.clone()?;
            Some((row.component.clone(), out))
        });
        Built {
            machine: match self.remote() {
                Some(remote) => remote.into(),
                None => self.processes.into(),
            },
            repo: self.repo,
            processes: self.processes,
            container: rows
                .first()
                .map_or_else(String::new, |row| row.container.clone()),
            kind: self.kind(),
            forward: self.options.forward.filter(|_| self.host.is_some()),
            outs: outs.collect(),
        }
    }

    /// Sends what the build needs to the machine that builds, if it is another.
    pub fn deliver(&self, uploads: &[(Upload, Vec<u8>)]) -> Result<()> {
        self.host
            .map_or(Ok(()), |host| host.deliver(uploads, self.choice.set))
    }

    /// The connection to the machine that builds, if it is another.
    pub fn remote(&self) -> Option<&'a Remote<'a>> {
        self.host.map(|host| &host.remote)
    }

    /// The folder of the logs.
    pub fn logs_folder(&self) -> Utf8PathBuf {
        self.repo.test_build_output().join("logs")
    }

    /// The folder of links to results of a container.
    pub fn results(&self, container: &str) -> Utf8PathBuf {
        let folder = self.repo.test_build_output();
        folder.join(self.result(container, ""))
    }

    /// Where the link to a result goes, below the folder of all results.
    pub fn result(&self, container: &str, component: &str) -> Utf8PathBuf {
        Utf8Path::new(container).join(self.kind()).join(component)
    }

    /// The GC roots of outputs of components, each with its output.
    pub fn links<'t>(
        &self,
        outs: impl Iterator<Item = (&'t str, &'t str, &'t String)>,
    ) -> Vec<(Utf8PathBuf, String)> {
        let folder = match self.remote() {
            Some(remote) => on_host::results(remote, self.repo),
            None => self.repo.test_build_output(),
        };
        let place = |container, component| folder.join(self.result(container, component));
        outs.map(|(container, component, out)| (place(container, component), out.clone()))
            .collect()
    }
}
