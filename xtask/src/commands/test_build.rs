//! `cargo xtask test-build`: builds components for real, with Nix, and says how it went.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::build::display::{self, Display, Mode, View};
use crate::build::history::History;
use crate::build::junit;
use crate::build::model::{After, Row, Run, Running, Said, State, Target, names_phase};
use crate::build::on_host::{self, Host};
use crate::build::report::{self, Logs};
use crate::build::selection::{InPlay, Names};
use crate::machine::sandbox_probe;
use crate::nix::{
    self, BuildOptions, Buildable, Description, EvaluationFailed, Inputs, Nix, Request, Store,
};
use crate::package_set::package_managers;
use crate::package_set::{self, Choice, PackageSet};
use crate::pins::Nixpkgs;
use crate::pins::mismatch::{self, Stale};
use crate::pins::sources::{Asked, Sources};
use crate::remote::upload;
use crate::remote::{Forward, Machine, Remote};
use crate::repo::Repo;
use nix_formats::log;
use nix_formats::log::{Event, Failure, beginning};
use nix_formats::sri::Sri;
use nix_formats::store_path::{self, name_of};
use sys::files;
use sys::process::{Input, Interrupted, Processes};
use sys::scratch::Scratch;
use sys::terminal;

/// The longest time between two looks at the running builds: the live lines count seconds.
const TICK: Duration = Duration::from_millis(100);
/// How much of a builder's line is shown, in bytes; the log has it whole.
const SHOWN: usize = 10_000;

/// Build components with Nix, and run their tests
///
/// The components are the attributes of containers/CONTAINER/test-build.nix. A component is named by its
/// own name, or, where several containers have one of that name, as CONTAINER/COMPONENT; CONTAINER/ means
/// all components of a container. What builders print is shown as it comes, each line after the
/// component's name; the whole log of each derivation is kept below target/test-build/logs, and a link to
/// each result below target/test-build/CONTAINER. At the end comes a table with state (built, cached,
/// failed, hash mismatch, skipped), time, size and output.
///
/// Exit codes: 0 all there, 1 something failed, 2 could not run, 129, 130 or 143 interrupted by SIGHUP,
/// SIGINT or SIGTERM; a second SIGINT kills what does not end.
///
/// With `--on HOST` another machine builds, which needs ssh and Nix only; this one needs no Nix then.
///
/// Example: `cargo xtask test-build --sample client-ts client-go`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Args {
    /// The components to build, each as COMPONENT, CONTAINER/COMPONENT or CONTAINER/; `--list` shows them
    #[arg(value_name = "COMPONENT")]
    components: Vec<String>,
    /// Show the components with version, description and tests, all or those named; build nothing
    #[arg(long, conflicts_with_all = ["all", "fetch", "write_pins"])]
    list: bool,
    /// Build all components of all containers
    #[arg(long, conflicts_with = "components")]
    all: bool,
    /// Build from the samples in the repository, with their own pins; containers without a sample are
    /// left out
    #[arg(long, conflicts_with_all = ["source", "pins"])]
    sample: bool,
    /// Build from a working tree in place of the pinned sources; containers that are not built from such
    /// a tree (source-tree.json) are left out
    #[arg(long, value_name = "PATH")]
    source: Option<Utf8PathBuf>,
    /// Take the pins of a container from another file than its pins.json
    #[arg(long, value_name = "FILE")]
    pins: Option<Utf8PathBuf>,
    /// The package set to build over [default: nixpkgs where it can be had, else host]
    #[arg(long, value_name = "SET")]
    pkgs: Option<PackageSet>,
    /// Build on another machine, HOST or USER@HOST as for ssh; `local` is this one [default:
    /// `XTASK_BUILD_HOST`, else `on` in containers/CONTAINER/test-build.json, else local]
    #[arg(long, value_name = "HOST")]
    on: Option<String>,
    /// Bring the results back from the other machine: into the store here, with all they need, or, where
    /// there is no Nix, as files below target/test-build/HOST
    #[arg(long)]
    fetch: bool,
    /// Machines that Nix shares the builds with: its setting `builders`
    #[arg(long, value_name = "SPEC")]
    builders: Option<String>,
    /// How many builds Nix runs at once here: its setting `max-jobs`
    #[arg(long, value_name = "N")]
    max_jobs: Option<String>,
    /// Where Nix looks for what is built already: its setting `substituters`
    #[arg(long, value_name = "URLS")]
    substituters: Option<String>,
    /// Build in another store, such as `ssh-ng://HOST`, whose Nix has the settings that the package set
    /// needs; derivations are made here and copied there
    #[arg(long, value_name = "URL", conflicts_with_all = ["on", "fetch"])]
    store: Option<String>,
    /// Any setting of Nix, for the build; may be given several times
    #[arg(long, num_args = 2, value_names = ["NAME", "VALUE"], allow_hyphen_values = true)]
    option: Vec<String>,
    /// Drop the links to results, here or with `--on` there, so that Nix's garbage collector may take them
    #[arg(long, conflicts_with_all = ["all", "components", "list", "fetch"])]
    gc: bool,
    /// After a failure, build what does not need what failed
    #[arg(long)]
    keep_going: bool,
    /// Keep the build folders of what failed
    #[arg(long)]
    keep_failed: bool,
    /// Leave out the components' tests
    #[arg(long)]
    no_tests: bool,
    /// Print a JSON line for each component and test: container, component, state, drv, out, seconds,
    /// phases; with `--list`: container, component, version, description, tests; with `--on`: host, too
    #[arg(long)]
    json: bool,
    /// Write the hashes that were found in place of the pinned ones, and build on; keeps going after a
    /// failure to find all of them
    #[arg(long)]
    write_pins: bool,
    /// Write the results as JUnit XML, too
    #[arg(long, value_name = "FILE")]
    junit: Option<Utf8PathBuf>,
    /// Show nothing of the builds while they run
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Show Nix's command lines, all that Nix says and, on a terminal too, all that builders print
    #[arg(short, long)]
    verbose: bool,
    /// What is built is used: the connection is kept, with a port forwarded, and no table is shown.
    #[arg(skip)]
    forward: Option<Forward>,
}

/// What `run` wants to be built.
pub struct ForService {
    /// As on the command line.
    pub components: Vec<String>,
    /// `--sample`.
    pub sample: bool,
    /// `--source`.
    pub source: Option<Utf8PathBuf>,
    /// `--pins`.
    pub pins: Option<Utf8PathBuf>,
    /// `--pkgs`.
    pub pkgs: Option<PackageSet>,
    /// `--on`.
    pub on: Option<String>,
    /// `--verbose`.
    pub verbose: bool,
    /// The port that another machine forwards.
    pub forward: Forward,
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

impl Args {
    /// The arguments with which components are built to be used.
    pub fn for_service(wanted: ForService) -> Self {
        Self {
            components: wanted.components,
            list: false,
            all: false,
            sample: wanted.sample,
            source: wanted.source,
            pins: wanted.pins,
            pkgs: wanted.pkgs,
            on: wanted.on,
            fetch: false,
            builders: None,
            max_jobs: None,
            substituters: None,
            store: None,
            option: Vec::new(),
            gc: false,
            keep_going: false,
            keep_failed: false,
            no_tests: true,
            json: false,
            write_pins: false,
            junit: None,
            quiet: false,
            verbose: wanted.verbose,
            forward: Some(wanted.forward),
        }
    }

    /// The settings that Nix gets as they are.
    fn settings(&self) -> Vec<(String, String)> {
        let named = [
            ("builders", &self.builders),
            ("max-jobs", &self.max_jobs),
            ("substituters", &self.substituters),
        ];
        let named = named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        let others = self.option.chunks_exact(2);
        let others = others.map(|pair| (pair[0].clone(), pair[1].clone()));
        named.chain(others).collect()
    }
}

#[derive(Serialize)]
struct Listed<'a> {
    /// The machine that was asked, if it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    container: &'a str,
    component: &'a str,
    version: &'a str,
    description: &'a str,
    tests: Vec<&'a str>,
}

/// What a run needs.
struct Session<'a> {
    args: &'a Args,
    repo: &'a Repo,
    processes: &'a Processes,
    names: Names,
    in_play: InPlay,
    /// Of the containers in play.
    sources: Vec<Sources>,
    choice: Choice,
    /// The machine that builds, if it is another.
    host: Option<&'a Host<'a>>,
    nix: Nix<'a>,
    /// Of the containers in play.
    inputs: Vec<Inputs>,
    history: History,
    /// Whether the first line has been said.
    announced: bool,
}

/// What a run knows from round to round; a new one begins when pins were changed.
struct Progress {
    run: Run,
    start: Instant,
    /// Outputs that were asked about, and which of them were valid then.
    known: BTreeSet<String>,
    valid_before: BTreeSet<String>,
    /// Derivations of targets that failed by themselves or by what they need: no new hash helps them.
    hopeless: BTreeSet<String>,
    /// Pins that were changed.
    changed: Vec<Stale>,
}

/// How a round ended.
enum Round {
    /// Nothing was to be built.
    Listed,
    /// Stale pins were in the way of evaluating.
    NotEvaluated { stale: Vec<Stale> },
    /// Something was built, or was there.
    Built(Outcome),
}

/// What nix-build left.
struct Outcome {
    rows: Vec<Row>,
    sizes: BTreeMap<String, u64>,
    stale: Vec<Stale>,
    /// How nix-build ended, if it was needed.
    status: Option<ExitStatus>,
    interrupted: Option<Interrupted>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    build(args, None)
}

/// What is done with what was built.
pub type Use<'u> = &'u mut dyn FnMut(&Built<'_>) -> Result<ExitCode>;

/// Builds, and says how it went; if all is there, `after` has the last word.
pub fn build(args: &Args, after: Option<Use<'_>>) -> Result<ExitCode> {
    let repo = Repo::find()?;
    let asked = Asked {
        sample: args.sample,
        tree: args.source.as_deref(),
        pins: args.pins.as_deref(),
    };
    if args.write_pins {
        refuse_to_write(&repo, &asked)?;
    }
    if let Some(file) = &args.junit {
        // Said before anything is built, not after.
        let folder = file.parent().filter(|folder| !folder.as_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            bail!("`--junit {file}`: `{folder}` is no folder");
        }
    }
    let processes = Processes::new(args.verbose)?;
    // `--list` without names shows all, and so does the hint when nothing was named.
    let names = Names::parse(&args.components, args.all || args.components.is_empty())?;
    let in_play = names.in_play(&repo, &asked)?;
    let sources = in_play.sources(&repo, &asked)?;
    // Nix here knows the way to another store.
    let here = args.store.as_ref().map(|_| upload::LOCAL);
    let hosts = upload::hosts(&repo, &in_play.containers, here.or(args.on.as_deref()))?;
    if args.gc {
        return drop_results(&repo, &processes, &sources, hosts);
    }
    // What builds nothing needs no agreement.
    let name = if args.list && hosts.len() > 1 {
        None
    } else {
        upload::only(hosts)?
    };
    if after.is_some() && name.is_none() && !cfg!(target_os = "linux") {
        bail!(
            "services run on Linux: `--on HOST` names a machine that builds and runs it, and forwards its port"
        );
    }
    if args.fetch && name.is_none() {
        bail!("`--fetch` brings results back from another machine: say which by `--on HOST`");
    }
    // What is sent is packed while ssh connects.
    let mut parcels = Vec::new();
    let host = name.map(|name| {
        Host::connect(
            &processes,
            &name,
            &sources,
            args.fetch,
            args.forward,
            || {
                parcels = on_host::pack(&processes, &repo, &sources)?;
                Ok(())
            },
        )
    });
    let host = host.transpose()?;
    let named = (names, in_play, sources);
    let mut session = Session::new(args, &repo, &processes, named, host.as_ref())?;
    session.deliver(&parcels)?;
    let mut progress = Progress::new();
    loop {
        let round = session.round(&mut progress)?;
        let stale = round.stale();
        if args.write_pins && !stale.is_empty() && progress.are_new(stale) {
            mismatch::write(&repo, stale)?;
            progress.changed.extend_from_slice(stale);
            session.sources = session.in_play.sources(&repo, &asked)?;
            if host.is_some() {
                session.deliver(&on_host::pack(&processes, &repo, &session.sources)?)?;
            }
            continue;
        }
        let rows = round.rows();
        let code = session.finish(&progress, round)?;
        let Some(after) = after.filter(|_| code == ExitCode::SUCCESS) else {
            return Ok(code);
        };
        return after(&session.built(&rows));
    }
}

/// A working tree never changes the release's pins.
pub fn refuse_to_write(repo: &Repo, asked: &Asked<'_>) -> Result<()> {
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

/// Chooses the package set and sets Nix up for it.
pub fn package_set<'a>(
    asked: Option<PackageSet>,
    repo: &Repo,
    processes: &'a Processes,
    sources: &[Sources],
    store: Option<&str>,
) -> Result<(Choice, Nix<'a>)> {
    let version = nix::version(processes)?;
    let plain = Nix::new(processes, Vec::new());
    let nixpkgs: Vec<Option<&Nixpkgs>> = sources.iter().map(|it| it.nixpkgs.as_ref()).collect();
    let choice = package_set::choose(
        asked,
        &version,
        &nixpkgs,
        |nixpkgs| package_set::is_in_store(&plain, nixpkgs),
        |nixpkgs| package_set::probe(processes.into(), repo, nixpkgs),
    )?;
    let store = store.map(|url| Store {
        url: url.to_owned(),
        drv_means_outputs: !version.is_at_least(2, 13),
    });
    if choice.set == PackageSet::Nixpkgs {
        let environment = package_managers::nixpkgs_environment(processes)?;
        return Ok((choice, Nix::new(processes, environment).with_store(store)));
    }
    let clients = package_managers::write(processes)?;
    let variable = |name: &str| std::env::var(name).ok();
    let rust = package_set::rust_toolchain(processes, variable)?;
    let environment =
        package_set::host_environment(repo, Some(&clients), rust.as_deref(), variable)?;
    Ok((choice, Nix::new(processes, environment).with_store(store)))
}

/// Says what is built over what, and why.
pub fn announce<'s>(
    choice: &Choice,
    sources: impl IntoIterator<Item = &'s Sources>,
    host: Option<&str>,
) {
    let shown: Vec<&str> = sources.into_iter().map(|it| it.shown.as_str()).collect();
    terminal::say(format!(
        "package set: {} ({})  sources: {}{}",
        choice.set.name(),
        choice.reason,
        shown.join(", "),
        host.map_or_else(String::new, |host| format!("  on: {host}"))
    ));
}

/// What a container's expressions are called with.
pub fn inputs(repo: &Repo, set: PackageSet, sources: &Sources) -> Inputs {
    Inputs {
        container: sources.container.clone(),
        host_pkgs: (set == PackageSet::Host).then(|| repo.host_pkgs()),
        source: sources.tree.clone(),
        pins: sources.pins_file.clone(),
    }
}

/// Drops the links to results on each machine that is built on.
fn drop_results(
    repo: &Repo,
    processes: &Processes,
    sources: &[Sources],
    mut hosts: BTreeSet<Option<String>>,
) -> Result<ExitCode> {
    if hosts.is_empty() {
        hosts.insert(None);
    }
    for host in hosts {
        if let Some(name) = host {
            let host = Host::connect(processes, &name, sources, false, None, || Ok(()))?;
            on_host::drop_results(&host, repo)?;
        } else {
            let links = store_links(&repo.test_build_output())?;
            for link in &links {
                fs_err::remove_file(link)?;
            }
            on_host::say_dropped(links.iter().map(|link| repo.shown(link).to_string()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The links into the store below a folder.
fn store_links(folder: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let mut links = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in folder.read_dir_utf8()? {
            let path = entry?.into_path();
            match path.read_link_utf8() {
                Ok(target) if target.starts_with(nix::store_dir()) => links.push(path),
                Ok(_) => {}
                Err(_) => folders.push(path),
            }
        }
    }
    links.sort();
    Ok(links)
}

/// The components and, with `tests`, their tests. `file_of` knows what to show of a position.
fn targets(described: &[Description], file_of: impl Fn(&str) -> Option<String>) -> Vec<Target> {
    let mut targets = Vec::new();
    let several = described
        .iter()
        .filter(|it| !it.components.is_empty())
        .count()
        > 1;
    let mut add = |container: &str, component: String, built: &Buildable| {
        if let (Some(drv), Some(out)) = (&built.drv, &built.out) {
            targets.push(Target {
                container: container.to_owned(),
                label: if several {
                    format!("{container}/{component}")
                } else {
                    component.clone()
                },
                component,
                drv: drv.clone(),
                out: out.clone(),
                file: built.position.as_deref().and_then(&file_of),
            });
        }
    };
    for description in described {
        let container = &description.container;
        for component in &description.components {
            add(container, component.name.clone(), &component.built);
            for test in &component.tests {
                let name = format!("{}.tests.{}", component.name, test.name);
                add(container, name, &test.built);
            }
        }
    }
    targets
}

/// The one thing said of a hash mismatch that is true, if any: Nix keeps what it built under its true
/// hash, which a builder that only talks can't do.
pub fn proven(nix: &Nix<'_>, run: &Run, drv: &str) -> Result<Option<Failure>> {
    let [output] = run.outputs(drv) else {
        return Ok(None);
    };
    for failure in run.said(drv) {
        let Failure::Mismatch { specified, got, .. } = failure else {
            continue;
        };
        let (Ok(specified), Ok(got)) = (specified.parse::<Sri>(), got.parse::<Sri>()) else {
            continue;
        };
        let fixed = output.fixed.as_ref();
        if fixed.is_none_or(|fixed| fixed.hash != specified) {
            continue;
        }
        if let Some(path) = output.with_hash(&got)
            && !nix.valid(&BTreeSet::from([path.into_string()]))?.is_empty()
        {
            return Ok(Some(failure.clone()));
        }
    }
    Ok(None)
}

/// The file of a position `FILE:LINE`, if it is one of this repository that people edit to change a
/// component: the package set's own helpers are none.
fn file_of(repo: &Repo, position: &str) -> Option<String> {
    let (file, _) = position.rsplit_once(':')?;
    let file = Utf8Path::new(file);
    let shown = repo.shown(file);
    let is_ours = shown != file && !file.starts_with(repo.host_pkgs());
    is_ours.then(|| shown.to_string())
}

impl<'a> Session<'a> {
    fn new(
        args: &'a Args,
        repo: &'a Repo,
        processes: &'a Processes,
        (names, in_play, sources): (Names, InPlay, Vec<Sources>),
        host: Option<&'a Host<'a>>,
    ) -> Result<Self> {
        let (choice, nix) = match host {
            Some(host) => (host.choose(args.pkgs, repo, &sources)?, host.nix()),
            None => package_set(args.pkgs, repo, processes, &sources, args.store.as_deref())?,
        };
        let inputs = sources.iter().map(|it| inputs(repo, choice.set, it));
        let kind = match sources.first().map_or("", |it| it.results) {
            "" => "release",
            other => other,
        };
        let mut scope = format!("{} {kind}", choice.set.name());
        if let Some(host) = host {
            scope = scope + " on " + host.remote.host();
        }
        Ok(Self {
            history: History::read(repo.state().join("history.json"), &scope),
            inputs: inputs.collect(),
            args,
            repo,
            processes,
            names,
            in_play,
            sources,
            choice,
            host,
            nix,
            announced: false,
        })
    }

    /// What was built, to be used.
    fn built(&self, rows: &[Row]) -> Built<'_> {
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
            kind: self.sources.first().map_or("", |it| it.results),
            forward: self.args.forward.filter(|_| self.host.is_some()),
            outs: outs.collect(),
        }
    }

    /// Sends what the build needs to the machine that builds, if it is another.
    fn deliver(&self, parcels: &[(upload::Parcel, Vec<u8>)]) -> Result<()> {
        self.host
            .map_or(Ok(()), |host| host.deliver(parcels, self.choice.set))
    }

    fn remote(&self) -> Option<&'a Remote<'a>> {
        self.host.map(|host| &host.remote)
    }

    fn round(&mut self, progress: &mut Progress) -> Result<Round> {
        let args = self.args;
        if args.list || (args.components.is_empty() && !args.all) {
            let request = Request {
                containers: self.wanted(),
                tests: true,
                ..Request::default()
            };
            let described = self.describe(&request);
            let described = self.announced(described)?;
            self.check(&described)?;
            if args.list {
                self.list(&described)?;
                return Ok(Round::Listed);
            }
            bail!(
                "nothing to build was named: give components, or `--all`\n{}",
                report::list(&described).trim_end()
            );
        }
        let request = Request {
            containers: self.wanted(),
            build: true,
            tests: !args.no_tests,
            ..Request::default()
        };
        let described = self.describe(&request);
        let described = match self.announced(described) {
            Ok(described) => described,
            Err(error) => {
                let mut stale: Vec<Stale> = Vec::new();
                if let Some(failed) = error.downcast_ref::<EvaluationFailed>() {
                    for sources in &self.sources {
                        let of_it = mismatch::at_evaluation(&failed.said, sources)?;
                        // With `--pins` the containers in play have one file.
                        let new = of_it.into_iter().filter(|it| !stale.contains(it));
                        stale.extend(new.collect::<Vec<_>>());
                    }
                }
                if stale.is_empty() {
                    return Err(error);
                }
                return Ok(Round::NotEvaluated { stale });
            }
        };
        self.check(&described)?;
        if let [only] = in_use(&described).as_slice()
            && progress.known.is_empty()
        {
            self.history.within(&only.container);
        }
        let targets = targets(&described, |position| file_of(self.repo, position));
        self.build(&targets, progress).map(Round::Built)
    }

    /// The containers in play, and what of each may be meant.
    fn wanted(&self) -> Vec<(&Inputs, Option<Vec<String>>)> {
        let wanted = |inputs: &'_ Inputs| self.names.wanted(&inputs.container.name);
        self.inputs.iter().map(|it| (it, wanted(it))).collect()
    }

    /// Evaluates; on a terminal it says so meanwhile, because it may take a while.
    fn describe(&self, request: &Request<'_>) -> Result<(Vec<Description>, String)> {
        let names = request.containers.iter();
        let names: Vec<&str> = names.map(|(it, _)| it.container.name.as_str()).collect();
        let _note = terminal::Note::new(&format!("evaluating {}", names.join(", ")));
        self.nix.describe(request, self.repo, self.args.verbose)
    }

    /// Says what is built over what, once: only now is it known which containers the names mean.
    fn announced(
        &mut self,
        described: Result<(Vec<Description>, String)>,
    ) -> Result<Vec<Description>> {
        let (described, said) = nix::apart(described);
        if !std::mem::replace(&mut self.announced, true) {
            let used = described.as_ref().map(|it| in_use(it)).unwrap_or_default();
            let is_used = |sources: &&Sources| {
                used.is_empty() || used.iter().any(|it| it.container == sources.container.name)
            };
            let host = self.remote().map(Remote::host);
            let host = host.or(self.args.store.as_deref());
            announce(&self.choice, self.sources.iter().filter(is_used), host);
        }
        terminal::say_if_any(&said);
        described
    }

    /// Makes sure that each name means one component, and that the flags mean no more than they can.
    fn check(&self, described: &[Description]) -> Result<()> {
        let elsewhere = || {
            let left_out = &self.in_play.left_out;
            let inputs: Vec<Inputs> = left_out
                .iter()
                .map(|(container, _)| Inputs {
                    container: container.clone(),
                    host_pkgs: Some(self.repo.host_pkgs()),
                    source: None,
                    pins: None,
                })
                .collect();
            let request = Request {
                containers: inputs.iter().map(|it| (it, Some(Vec::new()))).collect(),
                ..Request::default()
            };
            // A hint is all that it is for.
            let described = self.nix.describe(&request, self.repo, false);
            let reasons = left_out.iter().map(|(_, reason)| reason.clone());
            let (described, _) = described.unwrap_or_default();
            described.into_iter().zip(reasons).collect()
        };
        self.names.check(described, elsewhere)?;
        if let [one, other, ..] = in_use(described).as_slice()
            && self.args.pins.is_some()
        {
            bail!(
                "`--pins` gives the pins of one container, and components of {} and {} are named",
                one.container,
                other.container
            );
        }
        Ok(())
    }

    fn list(&self, described: &[Description]) -> Result<()> {
        if !self.args.json {
            return terminal::emit(report::list(described).trim_end());
        }
        for container in described {
            for component in &container.components {
                terminal::emit_json(&Listed {
                    host: self.host.map(|host| host.remote.host()),
                    container: &container.container,
                    component: &component.name,
                    version: &component.version,
                    description: &component.description,
                    tests: component
                        .tests
                        .iter()
                        .map(|test| test.name.as_str())
                        .collect(),
                })?;
            }
        }
        Ok(())
    }

    fn build(&self, targets: &[Target], progress: &mut Progress) -> Result<Outcome> {
        for target in targets {
            files::check_writable(&self.results(&target.container))?;
        }
        let outs: BTreeSet<String> = targets.iter().map(|target| target.out.clone()).collect();
        if progress.known.is_empty()
            && let Some(sizes) = self.sizes_if_all_there(targets, &outs)?
        {
            let after = After {
                valid_before: outs.clone(),
                valid: outs,
                ..After::default()
            };
            return Ok(Outcome {
                rows: self.rows(&progress.run, targets, &after, Duration::ZERO),
                sizes,
                stale: Vec::new(),
                status: None,
                interrupted: None,
            });
        }
        let new: BTreeSet<String> = outs.difference(&progress.known).cloned().collect();
        progress.valid_before.extend(self.nix.valid(&new)?);
        progress.known.extend(new);
        let to_build: Vec<&Target> = targets
            .iter()
            .filter(|target| !progress.valid_before.contains(&target.out))
            .filter(|target| !progress.hopeless.contains(&target.drv))
            .collect();
        progress.next_round(&to_build);
        let drvs: BTreeSet<String> = to_build.iter().map(|target| target.drv.clone()).collect();
        let run = &mut progress.run;
        let status = if drvs.is_empty() {
            None
        } else {
            Some(self.follow(&drvs, run, progress.start)?)
        };
        // What is there already once its pins are right needs no build.
        let success = status.is_none_or(|status| status.success());
        let interrupted = self.processes.acknowledge();
        let elapsed = progress.start.elapsed();
        let valid = self.nix.valid(&outs)?;
        if let Some(interrupted) = &interrupted {
            let unfinished = self.without_output(run)?;
            terminal::say(interruption(interrupted, run, unfinished.keys()));
        } else if !success && status.is_none_or(|status| status.signal().is_none()) {
            self.find_culprits(run)?;
        }
        let missing = targets.iter().filter(|target| !valid.contains(&target.out));
        let missing: BTreeSet<String> = missing.map(|target| target.drv.clone()).collect();
        let after = After {
            valid_before: progress.valid_before.clone(),
            requisites: self.nix.requisites(&missing)?,
            success: success && progress.hopeless.is_empty(),
            valid,
        };
        let rows = self.rows(run, targets, &after, elapsed);
        let mismatch =
            |(_, failure): &(&str, &Failure)| matches!(failure, Failure::Mismatch { .. });
        let stale = if run.failures().any(|failure| mismatch(&failure)) {
            mismatch::after_build(run.failures(), &self.nix.pinned(&self.inputs, self.repo)?)
        } else {
            Vec::new()
        };
        let failed = rows.iter().filter(|row| row.state == State::Failed);
        progress.hopeless = failed.map(|row| row.drv.clone()).collect();
        let there = rows.iter().filter_map(|row| row.out.clone()).collect();
        Ok(Outcome {
            sizes: self.nix.sizes_if_valid(&there)?.unwrap_or_default(),
            rows,
            stale: if interrupted.is_some() {
                Vec::new()
            } else {
                stale
            },
            status,
            interrupted,
        })
    }

    /// The sizes of all outputs if nothing is to be built. Another machine links to them in the same go
    /// and, unless they are wanted here, lets that be the end.
    fn sizes_if_all_there(
        &self,
        targets: &[Target],
        outs: &BTreeSet<String>,
    ) -> Result<Option<BTreeMap<String, u64>>> {
        let Some(remote) = self.remote() else {
            return self.nix.sizes_if_valid(outs);
        };
        let links = targets
            .iter()
            .map(|target| (&*target.container, &*target.component, &target.out));
        let links = self.links(links);
        self.nix.sizes_and_links(
            remote,
            outs,
            &links,
            !self.args.fetch && self.args.forward.is_none(),
        )
    }

    fn rows(&self, run: &Run, targets: &[Target], after: &After, elapsed: Duration) -> Vec<Row> {
        let mut rows = run.rows(targets, after, elapsed);
        for row in &mut rows {
            row.host = self.remote().map(|remote| remote.host().to_owned());
        }
        rows
    }

    /// Runs nix-build; shows and logs what comes.
    fn follow(&self, drvs: &BTreeSet<String>, run: &mut Run, start: Instant) -> Result<ExitStatus> {
        let args = self.args;
        let remote = self.remote();
        // What is kept of failed builds has to lie where it stays; the other machine has its own folder.
        let own_folder = !args.keep_failed && remote.is_none();
        let scratch = own_folder.then(Scratch::new).transpose()?;
        let kept = remote.filter(|_| args.keep_failed).map(Remote::temporary);
        let options = BuildOptions {
            keep_going: args.keep_going || args.write_pins,
            keep_failed: args.keep_failed,
            temporary: scratch
                .as_ref()
                .map(|scratch| scratch.path().to_owned())
                .or(kept),
            settings: args.settings(),
        };
        let mut screen = Screen {
            display: Display::new(Mode::choose(args.quiet)),
            logs: Logs::new(self.logs_folder())?,
            verbose: args.verbose,
            scratch,
            remote,
            tells_folders: !args.keep_failed,
            there: BTreeSet::new(),
        };
        let mut reader = log::Reader::default();
        let status = self.nix.build(drvs, &options, TICK, |input| match input {
            Input::Bytes(bytes) => {
                reader.read(bytes, &mut |event| screen.take(event, run, start.elapsed()))
            }
            Input::Pause => {
                screen.logs.flush()?;
                screen.look(run, start.elapsed())?;
                screen.display.refresh(|| self.view(run, start.elapsed()));
                Ok(())
            }
        })?;
        reader.end(&mut |event| screen.take(event, run, start.elapsed()))?;
        if remote.is_some() && self.processes.signal().is_none() {
            let awaited = run.awaited().into_values().flatten().collect();
            screen.there = self.nix.valid(&awaited)?;
        }
        screen.note_ends(run, start.elapsed());
        Ok(status)
    }

    /// What the live lines show.
    fn view<'run>(&self, run: &'run Run, elapsed: Duration) -> View<'run> {
        let running = run.running(elapsed, |label| self.history.usual(label));
        let counts = run.counts();
        View {
            left: time_left(
                &running,
                run.waiting().map(|label| self.history.usual(label)),
            ),
            running,
            fetching: run.fetching(),
            done: counts.done,
            expected: counts.expected,
            failed: counts.failed,
            elapsed,
            totals: None,
        }
    }

    /// Some of Nix's errors name no derivation, or an output only, and through a daemon most are not
    /// proven to be its own. Then it is a derivation whose build began and left no output.
    fn find_culprits(&self, run: &mut Run) -> Result<()> {
        let suspects = self.without_output(run)?;
        let (named, unnamed): (Vec<_>, Vec<_>) = suspects.into_iter().partition(|(drv, outs)| {
            !run.said(drv).is_empty()
                || outs
                    .iter()
                    .any(|out| run.other_errors().iter().any(|error| error.contains(out)))
        });
        let culprits = if named.is_empty() && run.failures().next().is_none() {
            unnamed
        } else {
            named
        };
        for (drv, _) in culprits {
            let proven = proven(&self.nix, run, &drv)?;
            run.blame(&drv, proven);
        }
        Ok(())
    }

    /// The derivations whose build began and left no output, with their outputs.
    fn without_output(&self, run: &Run) -> Result<BTreeMap<String, BTreeSet<String>>> {
        let started = run.started().map(str::to_owned).collect();
        let mut outputs = self.nix.outputs(&started)?;
        let valid = self
            .nix
            .valid(&outputs.values().flatten().cloned().collect())?;
        outputs.retain(|_, outs| !outs.is_subset(&valid));
        Ok(outputs)
    }

    /// Says how it went, in every form that was asked for; links to what is there.
    fn finish(&self, progress: &Progress, round: Round) -> Result<ExitCode> {
        let outcome = match round {
            Round::Listed => return Ok(ExitCode::SUCCESS),
            Round::NotEvaluated { stale } => {
                for stale in &stale {
                    let text = report::mismatch(
                        &stale.change.shown(),
                        &stale.change.from.to_string(),
                        &stale.change.to.to_string(),
                        &self.remedy(progress, Some(stale)),
                    );
                    terminal::say(format!("\n{}", text.trim_end()));
                }
                return Ok(ExitCode::from(1));
            }
            Round::Built(outcome) => outcome,
        };
        let run = &progress.run;
        let log_of = |drv: &str| {
            let path = report::log_path(&self.logs_folder(), drv);
            let began = run.started().any(|started| started == drv);
            began.then(|| self.repo.shown(&path).to_owned())
        };
        let failures = report::failures(run, log_of, |drv| {
            let stale = outcome
                .stale
                .iter()
                .find(|stale| stale.drv.as_deref() == Some(drv));
            self.remedy(progress, stale)
        });
        for (_, failure) in &failures {
            terminal::say(format!("\n{}", failure.trim_end()));
        }
        let succeeded = outcome.status.is_none_or(|status| status.success());
        if !succeeded
            && self.host.is_none()
            && self.choice.set == PackageSet::Host
            && outcome.interrupted.is_none()
            && let Some(problem) = sandbox_probe::sandbox_problem(self.processes)?
        {
            terminal::say(format!("\n{problem}"));
        }
        if let Some(remote) = self.remote()
            && run.failures().any(|(drv, _)| name_of(drv) == "host-rust")
        {
            terminal::say(format!(
                "\n`{}` has no Rust, which `build-tools` is built with over host-pkgs: install it there, \
                 with rustup",
                remote.host()
            ));
        }
        let rows = &outcome.rows;
        self.link(rows)?;
        if let Some(host) = self.host.filter(|_| self.args.fetch) {
            let folder = self.repo.test_build_output().join(host.remote.host());
            let wanted: BTreeMap<Utf8PathBuf, &str> = rows
                .iter()
                .filter_map(|row| {
                    let result = self.result(&row.container, &row.component);
                    Some((folder.join(result), row.out.as_deref()?))
                })
                .collect();
            on_host::fetch(host, self.processes, &wanted, &folder)?;
        }
        // What is used says enough by itself.
        let is_used = self.args.forward.is_some() && rows.iter().all(|row| row.out.is_some());
        if !is_used {
            let table = report::rows_table(rows, &outcome.sizes);
            terminal::say(format!("\n{}", table.trim_end()));
        }
        for slower in run.built().filter_map(|built| self.history.slower(&built)) {
            terminal::say(slower);
        }
        self.history.add(&self.repo.lock(), run.built())?;
        if let Some(file) = &self.args.junit {
            let said = |row: &Row| {
                let own = |(drv, _): &&(String, String)| Some(drv) == row.culprit.as_ref();
                failures.iter().find(own).map_or("", |(_, text)| text)
            };
            files::write_atomically(file, junit::render(rows, said).as_bytes(), 0o644)?;
        }
        if self.args.json {
            rows.iter().try_for_each(terminal::emit_json)?;
        }
        if let Some(interrupted) = outcome.interrupted {
            return Ok(interrupted.exit_code());
        }
        if rows
            .iter()
            .any(|row| matches!(row.state, State::Failed | State::HashMismatch))
        {
            return Ok(ExitCode::from(1));
        }
        if let Some(status) = outcome.status.filter(|status| !status.success()) {
            if status.signal().is_some() {
                bail!(
                    "something killed nix-build ({status}): what it built is kept, run this again"
                );
            }
            let reasons = run.other_errors().join("\n");
            bail!("nix-build ended without building ({status})\n{reasons}");
        }
        Ok(ExitCode::SUCCESS)
    }

    fn remedy(&self, progress: &Progress, stale: Option<&Stale>) -> String {
        let is_release = |sources: &Sources| {
            let pins = sources.container.pins();
            sources.tree.is_some() && stale.is_some_and(|stale| stale.file == pins)
        };
        let may_write = !self.sources.iter().any(is_release);
        let changed = stale.is_some_and(|stale| progress.was_changed(stale));
        mismatch::remedy(self.repo, stale, may_write, changed)
    }

    fn logs_folder(&self) -> Utf8PathBuf {
        self.repo.test_build_output().join("logs")
    }

    /// The folder of links to results of a container.
    fn results(&self, container: &str) -> Utf8PathBuf {
        let folder = self.repo.test_build_output();
        folder.join(self.result(container, ""))
    }

    /// Where the link to a result goes, below the folder of all results.
    fn result(&self, container: &str, component: &str) -> Utf8PathBuf {
        let kind = self.sources.first().map_or("", |it| it.results);
        Utf8Path::new(container).join(kind).join(component)
    }

    /// Links to what is there.
    fn link(&self, rows: &[Row]) -> Result<()> {
        // Links lead to what is in the own store.
        if self.args.store.is_some() || self.remote().is_some_and(Remote::is_over) {
            return Ok(());
        }
        let there = rows
            .iter()
            .filter_map(|row| Some((&*row.container, &*row.component, row.out.as_ref()?)));
        let mut links = self.links(there);
        if self.host.is_none() {
            links.retain(|(link, out)| !is_link_to(link, out));
        }
        self.nix.link(&links)
    }

    fn links<'t>(
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

impl Round {
    /// The rows of what was built.
    fn rows(&self) -> Vec<Row> {
        match self {
            Self::Built(outcome) => outcome.rows.clone(),
            Self::Listed | Self::NotEvaluated { .. } => Vec::new(),
        }
    }

    fn stale(&self) -> &[Stale] {
        match self {
            Self::Listed => &[],
            Self::NotEvaluated { stale } => stale,
            Self::Built(outcome) => &outcome.stale,
        }
    }
}

impl Progress {
    fn new() -> Self {
        Self {
            run: Run::default(),
            start: Instant::now(),
            known: BTreeSet::new(),
            valid_before: BTreeSet::new(),
            hopeless: BTreeSet::new(),
            changed: Vec::new(),
        }
    }

    /// Begins a round; what was accepted failed no more.
    fn next_round(&mut self, targets: &[&Target]) {
        let accepted = self.changed.iter().filter_map(|stale| stale.drv.clone());
        let accepted: Vec<String> = accepted.collect();
        self.run.next_round(targets.iter().copied(), &accepted);
    }

    fn was_changed(&self, stale: &Stale) -> bool {
        let same = |other: &Stale| other.file == stale.file && other.change.key == stale.change.key;
        self.changed.iter().any(same)
    }

    /// Whether none of these pins was changed before: what differs with each build would never end.
    fn are_new(&self, stale: &[Stale]) -> bool {
        !stale.iter().any(|stale| self.was_changed(stale))
    }
}

/// The screen and the log files.
struct Screen<'a> {
    display: Display,
    logs: Logs,
    verbose: bool,
    scratch: Option<Scratch>,
    /// The machine that builds, if it is another.
    remote: Option<&'a Remote<'a>>,
    /// Whether build folders are where it looks, and go when builds fail.
    tells_folders: bool,
    /// Outputs that are known to be there, in the end.
    there: BTreeSet<String>,
}

impl Screen<'_> {
    /// Takes an event into the model, shows and logs what it said.
    fn take(&mut self, event: Event<'_>, run: &mut Run, at: Duration) -> Result<()> {
        match run.apply(event, at) {
            Some(said) => self.show(said, run, at),
            None => Ok(()),
        }
    }

    fn show(&mut self, said: Said<'_>, run: &mut Run, at: Duration) -> Result<()> {
        match said {
            Said::Starts { drv } => {
                match self.remote {
                    None => run.note_derivation(&drv, nix::outputs_of(&drv)),
                    Some(remote) => remote.ask_outputs(&drv)?,
                }
                self.logs.start(&drv)?;
                if self.shows_lines() {
                    self.labelled(run.label(&drv), &format!("building {drv}"));
                }
            }
            Said::Log { drv, line } => {
                self.logs.line(&drv, &line)?;
                if self.shows_lines() && !names_phase(&line, run.phase(&drv)) {
                    // A line that a builder left empty is a line.
                    let line = if line.is_empty() { " " } else { &*line };
                    self.labelled(run.label(&drv), line);
                }
            }
            Said::Phase { drv, phase } => {
                let line = format!("[{phase}]");
                self.logs.line(&drv, &line)?;
                if self.shows_lines() {
                    self.labelled(run.label(&drv), &line);
                }
            }
            Said::Ends { drv } => {
                self.logs.end(&drv)?;
                self.note_ends(run, at);
            }
            Said::Counts => self.note_ends(run, at),
            Said::Failed { drv, text } => {
                if self.shows_lines() {
                    self.labelled("nix", &format!("error: {text}"));
                }
                self.ended(run, &drv);
            }
            Said::Nix { detail, text } => {
                if self.verbose || (!detail && self.display.mode() == Mode::Plain) {
                    self.labelled("nix", &text);
                }
            }
        }
        Ok(())
    }

    fn shows_lines(&self) -> bool {
        self.verbose || self.display.mode() == Mode::Plain
    }

    fn labelled(&mut self, label: &str, text: &str) {
        let colours = self.display.mode() == Mode::Live;
        self.display
            .line(&report::labelled(label, beginning(text, SHOWN), colours));
    }

    fn note_ends(&mut self, run: &mut Run, at: Duration) {
        let exists = |out: &str| match self.remote {
            None => Utf8Path::new(out).exists(),
            Some(remote) => remote.was_there(out) || self.there.contains(out),
        };
        let gone = |drv: &str| match (self.remote, &self.scratch) {
            (Some(remote), _) => self.tells_folders && on_host::folder_is_gone(remote, drv),
            (None, Some(scratch)) => !scratch.has(&store_path::build_folder(drv)),
            (None, None) => false,
        };
        for drv in run.note_ends(at, exists, gone) {
            self.ended(run, &drv);
        }
    }

    /// Another machine is asked what is there; what it answered since is taken in.
    fn look(&mut self, run: &mut Run, at: Duration) -> Result<()> {
        let Some(remote) = self.remote else {
            return Ok(());
        };
        for (drv, outputs) in remote.take_outputs() {
            run.note_derivation(&drv, outputs);
        }
        if remote.look(|| run.awaited())? {
            self.note_ends(run, at);
        }
        Ok(())
    }

    /// Above the live lines a line is left of each build that ended.
    fn ended(&mut self, run: &Run, drv: &str) {
        if self.display.mode() == Mode::Live
            && let Some(ended) = run.ended(drv)
        {
            self.display.line(&display::ended_line(&ended));
        }
    }
}

/// The containers of which something is wanted.
fn in_use(described: &[Description]) -> Vec<&Description> {
    let described = described.iter();
    described.filter(|it| !it.components.is_empty()).collect()
}

/// How much longer it takes, if all that runs and waits is known from earlier runs.
fn time_left(
    running: &[Running<'_>],
    waiting: impl Iterator<Item = Option<Duration>>,
) -> Option<Duration> {
    let rest = |running: &Running<'_>| Some(running.usual?.saturating_sub(running.time));
    let rests: Vec<Duration> = running.iter().map(rest).collect::<Option<_>>()?;
    let waiting: Vec<Duration> = waiting.collect::<Option<_>>()?;
    let at_once = u32::try_from(running.len()).unwrap_or(u32::MAX).max(1);
    let shared = (rests.iter().sum::<Duration>() + waiting.iter().sum::<Duration>()) / at_once;
    let left = rests.into_iter().chain(waiting).chain([shared]).max()?;
    (left >= Duration::from_secs(1)).then_some(left)
}

/// Whether a link already leads to `target`; then Nix knows it, for Nix made it.
fn is_link_to(link: &Utf8Path, target: &str) -> bool {
    link.read_link_utf8().is_ok_and(|found| found == target)
}

/// What a signal interrupted.
fn interruption<'a>(
    interrupted: &Interrupted,
    run: &Run,
    unfinished: impl Iterator<Item = &'a String>,
) -> String {
    let unfinished: Vec<String> = unfinished
        .map(|drv| match run.phase(drv) {
            Some(phase) => format!("{} ({phase})", run.label(drv)),
            None => run.label(drv).to_owned(),
        })
        .collect();
    if unfinished.is_empty() {
        return interrupted.to_string();
    }
    format!("{interrupted} while building {}", unfinished.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::{Component, Test};

    fn buildable(name: &str) -> Buildable {
        Buildable {
            drv: Some(format!("/{name}.drv")),
            out: Some(format!("/{name}")),
            position: Some("a.nix:3".to_owned()),
        }
    }

    #[test]
    fn the_file_of_a_position() {
        let repo = Repo::find().unwrap();
        let at = |path: &str| file_of(&repo, &format!("{}:12", repo.root.join(path)));
        assert_eq!(
            at("containers/authentik/client-ts.nix").as_deref(),
            Some("containers/authentik/client-ts.nix")
        );
        assert_eq!(at("containers/host-pkgs/default.nix"), None);
        assert_eq!(file_of(&repo, "/nix/store/a-nixpkgs/b.nix:1"), None);
        assert_eq!(file_of(&repo, "nonsense"), None);
    }

    #[test]
    fn tests_follow_their_component() {
        let described = |container: &str, name: &str| Description {
            container: container.to_owned(),
            names: vec![name.to_owned()],
            components: vec![Component {
                name: name.to_owned(),
                version: String::new(),
                description: String::new(),
                built: buildable("c"),
                tests: vec![Test {
                    name: "types".to_owned(),
                    built: buildable("t"),
                }],
            }],
        };
        let one = described("app", "client-ts");
        let two = described("proxy", "proxy");
        let none = Description {
            components: Vec::new(),
            ..described("zoo", "lion")
        };
        let upper = |position: &str| Some(position.to_uppercase());
        let labels = |described: &[Description]| {
            let targets = targets(described, upper);
            let file = |target: &Target| target.file.as_deref() == Some("A.NIX:3");
            assert!(targets.iter().all(file));
            targets.into_iter().map(|it| it.label).collect::<Vec<_>>()
        };
        // With the container only where there are several.
        let both = [one, none, two];
        assert_eq!(labels(&both[..2]), ["client-ts", "client-ts.tests.types"]);
        assert_eq!(
            labels(&both),
            [
                "app/client-ts",
                "app/client-ts.tests.types",
                "proxy/proxy",
                "proxy/proxy.tests.types"
            ]
        );
    }

    #[test]
    fn links_are_left_alone_when_they_are_right() {
        let folder = tempfile::tempdir().unwrap();
        let link = Utf8Path::from_path(folder.path()).unwrap().join("a");
        assert!(!is_link_to(&link, "/x"));
        fs_err::os::unix::fs::symlink("/x", &link).unwrap();
        assert!(is_link_to(&link, "/x") && !is_link_to(&link, "/y"));
    }
}
