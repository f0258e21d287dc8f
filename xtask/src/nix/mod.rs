//! Nix: each question to it one function, each answer a type.
//!
//! May use other machines and the repository; knows nothing of pins and package sets but a set's name.

pub mod describe;
mod eval_error;
mod machine;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::de::DeserializeOwned;
use xshell::Cmd;

pub use self::describe::{Buildable, Component, Description, Inputs, PackageSet, Pinned, Request};
use self::eval_error::{Expressions, Reader};
pub use self::machine::Machine;
use crate::remote::{Mode, Remote};
use crate::repo::Repo;
use nix_formats::derivation::{self, Output};
use nix_formats::store_path::is_store_path;
use nix_formats::version::NixVersion;
use sys::files;
use sys::process::{Captured, Input, Processes, find_program, is_missing_program};
use sys::scratch::Scratch;
use sys::terminal;

/// The expression that describes the components.
const DESCRIBE: &str = include_str!("describe.nix");

/// Makes a link to `$1` at `$2`, unless it is there: then Nix knows it, for Nix made it.
const LINK_THERE: &str = r#"[ "$(readlink -- "$2")" = "$1" ] ||
    { mkdir -p -- "${2%/*}" && exec nix-store --realise "$1" --add-root "$2"; }"#;

/// Nix, with the settings of a run.
pub struct Nix<'a> {
    machine: Machine<'a>,
    environment: Vec<(String, String)>,
    store: Option<Store>,
    /// The system that is evaluated for, if it is not the machine's.
    system: Option<String>,
    /// What finds out [`ForBuilders`]: that takes longer than to see that there is nothing to build.
    prepare: Option<Prepare<'a>>,
    prepared: OnceCell<ForBuilders>,
}

type Prepare<'a> = Box<dyn Fn() -> Result<ForBuilders> + 'a>;

/// What Nix is given beside all else where it builds.
pub struct ForBuilders {
    environment: Vec<(String, String)>,
    _folder: Option<Scratch>,
}

impl ForBuilders {
    /// Variables, which count more than those of [`Nix::new`], and a folder that builders see: it is there as long as
    /// this is.
    pub fn new(environment: Vec<(String, String)>, folder: Option<Scratch>) -> Self {
        Self {
            environment,
            _folder: folder,
        }
    }
}

/// A store that is built in, other than the one that Nix uses by itself.
#[derive(Clone, Debug)]
pub struct Store {
    /// Its address, such as `ssh-ng://HOST`.
    pub url: String,
    /// Whether a store derivation by itself means its outputs to `nix build`: until Nix 2.13.
    pub drv_means_outputs: bool,
}

/// The error of an evaluation.
#[derive(Debug)]
pub struct EvaluationFailed {
    /// All that Nix said.
    pub said: String,
    /// The part of it that matters, explained.
    pub told: String,
    /// Warnings and traces before it that are to be shown.
    pub before: String,
}

/// How nix-build goes about it.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// Build what can be built after a failure.
    pub keep_going: bool,
    /// Keep the build folders of what failed.
    pub keep_failed: bool,
    /// Where Nix makes its build folders, if not in TMPDIR.
    pub temporary: Option<Utf8PathBuf>,
    /// Names and values of Nix's settings.
    pub settings: Vec<(String, String)>,
}

/// Makes sure that there is Nix on this machine, for something that no other machine can do for it; `why` says what.
pub fn require(why: &str) -> Result<()> {
    if find_program("nix-store").is_none() {
        bail!("Nix is not installed: {why}; `cargo xtask setup` says how to install it");
    }
    Ok(())
}

/// The version of the Nix on PATH.
pub fn version(processes: &Processes) -> Result<NixVersion> {
    let captured = match processes.capture(processes.cmd("nix-store").arg("--version")) {
        Err(error) if is_missing_program(&error) => {
            return Err(error.context(
                "Nix is not installed: build on another machine by `--on HOST`, `XTASK_BUILD_HOST` or \
                 `\"on\"` in the container's test-build.json, or install it: `cargo xtask setup` says how",
            ));
        }
        other => other?,
    };
    let output = captured.success()?;
    output.trim().parse().map_err(|()| {
        anyhow!(
            "no version in what `nix-store --version` says: `{}`",
            output.trim()
        )
    })
}

/// The same, remembered in `folder` while `nix-store` is the same file: to start Nix only for this takes longer
/// than all else that is done where nothing is to be built. Of a script, which may call any Nix, nothing is
/// remembered.
pub fn known_version(processes: &Processes, folder: &Utf8Path) -> Result<NixVersion> {
    let Some(identity) = find_program("nix-store").and_then(|it| identity(&it)) else {
        return version(processes);
    };
    let file = folder.join("nix-version");
    let noted = fs_err::read_to_string(&file).unwrap_or_default();
    if let Some(version) = noted.strip_prefix(&identity)
        && let Ok(version) = version.trim().parse()
    {
        return Ok(version);
    }
    let version = version(processes)?;
    // Where it can't be noted it is asked for again.
    if fs_err::create_dir_all(folder).is_ok() {
        let _ = files::write_atomically(&file, format!("{identity}{version}\n").as_bytes(), 0o644);
    }
    Ok(version)
}

/// What changes when a program is replaced; nothing for a script.
fn identity(program: &Utf8Path) -> Option<String> {
    let file = program.canonicalize_utf8().ok()?;
    let mut start = [0; 2];
    fs_err::File::open(&file)
        .ok()?
        .read_exact(&mut start)
        .ok()?;
    let about = fs_err::metadata(&file).ok()?;
    let (device, inode, size) = (about.dev(), about.ino(), about.len());
    let changed = (about.ctime(), about.ctime_nsec());
    (start != *b"#!").then(|| format!("{file} {device} {inode} {size} {changed:?}: "))
}

/// The folder of the store.
pub fn store_dir() -> Utf8PathBuf {
    std::env::var("NIX_STORE_DIR").map_or_else(|_| "/nix/store".into(), Utf8PathBuf::from)
}

/// Whether Nix reaches its store directly here, and not through a daemon: for root and the owner of its
/// database.
pub fn is_direct() -> bool {
    let remote = std::env::var("NIX_REMOTE").unwrap_or_default();
    if !matches!(&*remote, "" | "auto" | "local") {
        return false;
    }
    rustix::process::geteuid().is_root() || owns_store()
}

/// Whether this user owns the store's database, or the folder that Nix would create it in.
pub fn owns_store() -> bool {
    let mut places = Utf8Path::new("/nix/var/nix/db").ancestors();
    let place = places.find_map(|place| fs_err::metadata(place).ok());
    place.is_some_and(|place| place.uid() == rustix::process::geteuid().as_raw())
}

/// The outputs of a derivation, read from the store itself; none when it can't be read from here.
pub fn outputs_of(drv: &str) -> Vec<Output> {
    let text = fs_err::read(drv).ok();
    text.and_then(|text| derivation::outputs(&String::from_utf8_lossy(&text)))
        .unwrap_or_default()
}

/// The derivations that one needs, read from the store itself; none when it can't be read from here.
pub fn inputs_of(drv: &str) -> Vec<String> {
    let text = fs_err::read(drv).unwrap_or_default();
    derivation::inputs(&String::from_utf8_lossy(&text))
}

/// The NAR sizes of store paths, if all of them are valid, from the answer to a query.
fn sizes(paths: &BTreeSet<String>, captured: &Captured) -> Result<Option<BTreeMap<String, u64>>> {
    if !captured.status.success() {
        return Ok(None);
    }
    let sizes: Vec<u64> = captured
        .stdout
        .lines()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .with_context(|| format!("reading the output of `{}`", captured.command))?;
    if sizes.len() != paths.len() {
        bail!(
            "`{}` gave {} sizes for {} paths",
            captured.command,
            sizes.len(),
            paths.len()
        );
    }
    Ok(Some(paths.iter().cloned().zip(sizes).collect()))
}

/// A command line with the arguments of an expression.
fn with_arguments<'a>(
    mut command: Cmd<'a>,
    inputs: &Inputs,
    arguments: &[(&str, &str)],
) -> Cmd<'a> {
    let test_build = inputs.container.test_build();
    let paths = [
        ("testBuild", Some(&test_build)),
        ("hostPkgs", inputs.host_pkgs.as_ref()),
        ("source", inputs.source.as_ref()),
        ("pins", inputs.pins.as_ref()),
    ];
    let paths = paths
        .into_iter()
        .filter_map(|(name, path)| Some((name, path?.as_str())));
    for (name, value) in paths.chain(arguments.iter().copied()) {
        command = command.args(["--argstr", name, value]);
    }
    command
}

/// A command of `nix` that is still called experimental.
fn new_command(nix: Cmd<'_>) -> Cmd<'_> {
    nix.args(["--extra-experimental-features", "nix-command"])
}

/// Who reads why an evaluation failed.
fn reader<'a>(containers: &[&'a Inputs], repo: &'a Repo, verbose: bool) -> Reader<'a> {
    let shown = |inputs: &&Inputs| {
        let file = inputs.container.test_build();
        format!("`{}`", repo.shown(&file))
    };
    let is_host = containers.iter().all(|inputs| inputs.host_pkgs.is_some());
    let expressions: Vec<String> = containers.iter().map(shown).collect();
    let of = |inputs: &&Inputs| Expressions {
        folder: repo.shown(&inputs.container.folder).to_owned(),
        pins: inputs
            .pins
            .clone()
            .unwrap_or_else(|| inputs.container.pins()),
    };
    Reader {
        root: &repo.root,
        expression: expressions.join(" and "),
        source: containers.iter().find_map(|it| it.source.as_deref()),
        containers: containers.iter().map(of).collect(),
        set: if is_host {
            PackageSet::Host
        } else {
            PackageSet::Nixpkgs
        },
        verbose,
    }
}

/// How an evaluation ended, and what Nix says beside it that is to be shown.
pub fn apart<T>(evaluated: Result<(T, String)>) -> (Result<T>, String) {
    match evaluated {
        Ok((value, said)) => (Ok(value), said),
        Err(error) => {
            let failed = error.downcast_ref::<EvaluationFailed>();
            let said = failed.map(|it| it.before.clone()).unwrap_or_default();
            (Err(error), said)
        }
    }
}

/// What expressions warn of in an evaluation that succeeds, each line once.
fn warnings(said: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    let traced = said.lines().filter_map(|line| line.strip_prefix("trace: "));
    for line in traced.filter(|line| line.starts_with("warning: ")) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// The stdout of an evaluation and what Nix says beside it, if that is to be shown; or why it failed.
fn run_evaluation(
    machine: Machine<'_>,
    command: Cmd<'_>,
    reader: &Reader<'_>,
) -> Result<(String, String)> {
    let captured = machine.capture(command)?;
    let mut said = String::new();
    if reader.verbose {
        captured.stderr.trim().clone_into(&mut said);
    }
    if captured.status.success() {
        if !reader.verbose {
            said = warnings(&captured.stderr);
        }
        return Ok((captured.stdout, said));
    }
    let told = eval_error::tell(&captured.stderr, &captured.status.to_string(), reader);
    if !reader.verbose {
        said = told.before;
    }
    Err(EvaluationFailed {
        said: captured.stderr,
        told: told.error,
        before: said,
    }
    .into())
}

impl<'a> Nix<'a> {
    /// Nix, run with these variables beside the inherited ones.
    pub fn new(machine: impl Into<Machine<'a>>, environment: Vec<(String, String)>) -> Self {
        Self {
            machine: machine.into(),
            environment,
            store: None,
            system: None,
            prepare: None,
            prepared: OnceCell::new(),
        }
    }

    /// The same, with builds in another store. Derivations are still made in the own one.
    pub fn with_store(self, store: Option<Store>) -> Self {
        Self { store, ..self }
    }

    /// The same, evaluating for another system; what builds is not told.
    pub fn with_system(self, system: Option<String>) -> Self {
        Self { system, ..self }
    }

    /// The same, with what is found out for builders before the first build.
    pub fn with_builders(self, prepare: impl Fn() -> Result<ForBuilders> + 'a) -> Self {
        Self {
            prepare: Some(Box::new(prepare)),
            ..self
        }
    }

    /// nix-store, asked about outputs.
    fn about_outputs(&self) -> Cmd<'a> {
        let command = self.cmd("nix-store");
        match &self.store {
            Some(store) => command.args(["--store", &store.url]),
            None => command,
        }
    }

    fn cmd(&self, program: &str) -> Cmd<'a> {
        self.machine
            .cmd(program)
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
    }

    /// A command that builds.
    fn builder(&self, program: &str) -> Result<Cmd<'a>> {
        if let Some(prepare) = &self.prepare
            && self.prepared.get().is_none()
        {
            let _ = self.prepared.set(prepare()?);
        }
        let prepared = self.prepared.get().map(|it| &it.environment);
        let variables = prepared.into_iter().flatten();
        Ok(self
            .cmd(program)
            .envs(variables.map(|(key, value)| (key, value))))
    }

    /// Evaluates what is asked for; derivations are written to the store if they are.
    ///
    /// Second comes what Nix says of it, with `verbose`.
    pub fn describe(
        &self,
        request: &Request<'_>,
        repo: &Repo,
        verbose: bool,
    ) -> Result<(Vec<Description>, String)> {
        let (described, said): (Vec<Description>, _) = self.evaluate(request, repo, verbose)?;
        describe::check(&described, request).context("reading what the components evaluate to")?;
        Ok((described, said))
    }

    /// Which derivations take their hashes from which pins.
    pub fn pinned<'i>(
        &self,
        containers: impl IntoIterator<Item = &'i Inputs>,
        repo: &Repo,
    ) -> Result<Vec<Pinned>> {
        self.ask_pinned(containers, repo, false)
    }

    /// The same, with the derivations written to the store, to be built.
    pub fn pinned_to_build<'i>(
        &self,
        containers: impl IntoIterator<Item = &'i Inputs>,
        repo: &Repo,
    ) -> Result<Vec<Pinned>> {
        self.ask_pinned(containers, repo, true)
    }

    fn ask_pinned<'i>(
        &self,
        containers: impl IntoIterator<Item = &'i Inputs>,
        repo: &Repo,
        build: bool,
    ) -> Result<Vec<Pinned>> {
        let request = Request {
            containers: containers.into_iter().map(|it| (it, None)).collect(),
            build,
            pinned: true,
            // one that was looked for has a fake one
            find_hashes: true,
            ..Request::default()
        };
        let (pinned, _) = self.evaluate(&request, repo, false)?;
        Ok(describe::pins_of(pinned, &request))
    }

    fn evaluate<T: DeserializeOwned>(
        &self,
        request: &Request<'_>,
        repo: &Repo,
        verbose: bool,
    ) -> Result<(T, String)> {
        let mut command =
            self.cmd("nix-instantiate")
                .args(["--eval", "--strict", "--json", "--show-trace"]);
        if request.build {
            command = command.arg("--read-write-mode");
        }
        if let Some(system) = &self.system {
            command = command.args(["--option", "system", system]);
        }
        let text = serde_json::to_string(&describe::question(request, self.machine))
            .context("writing the request")?;
        let command = command
            .args(["-E", DESCRIBE])
            .args(["--argstr", "request", &text]);
        let containers: Vec<&Inputs> = request.containers.iter().map(|(it, _)| *it).collect();
        let (text, said) =
            run_evaluation(self.machine, command, &reader(&containers, repo, verbose))?;
        let value =
            serde_json::from_str(&text).context("reading what the components evaluate to")?;
        Ok((value, said))
    }

    /// The store path of the derivation that an expression gives, which is written to the store.
    ///
    /// `expression` is a function of what `inputs` says and of these texts.
    pub fn instantiate(
        &self,
        expression: &str,
        inputs: &Inputs,
        arguments: &[(&str, &str)],
        repo: &Repo,
        verbose: bool,
    ) -> Result<String> {
        let command = self
            .cmd("nix-instantiate")
            .args(["--show-trace", "-E", expression]);
        let command = with_arguments(command, inputs, arguments);
        let reader = reader(&[inputs], repo, verbose);
        let (text, said) = apart(run_evaluation(self.machine, command, &reader));
        terminal::say_if_any(&said);
        Ok(text?.trim().to_owned())
    }

    /// The store path of an unpacked archive, fetched as `fetchTarball` does, which finds it there then.
    pub fn unpacked(&self, url: &str) -> Result<Utf8PathBuf> {
        let command = self.cmd("nix-prefetch-url").args([
            "--unpack",
            "--name",
            "source",
            "--print-path",
            url,
        ]);
        let captured = self.machine.capture(command)?.success()?;
        let path = captured.lines().last().unwrap_or_default();
        if !is_store_path(path) {
            bail!("nix-prefetch-url of {url} printed no store path");
        }
        Ok(path.into())
    }

    /// The NAR sizes of store paths, in bytes, if all of them are valid.
    pub fn sizes_if_valid(
        &self,
        paths: &BTreeSet<String>,
    ) -> Result<Option<BTreeMap<String, u64>>> {
        if paths.is_empty() {
            return Ok(Some(BTreeMap::new()));
        }
        sizes(paths, &self.machine.capture(self.sizes_query(paths))?)
    }

    fn sizes_query(&self, paths: &BTreeSet<String>) -> Cmd<'a> {
        self.about_outputs().args(["--query", "--size"]).args(paths)
    }

    /// The same on another machine and, if all are valid, these links, in one go; with `last` that is
    /// the end of the session.
    pub fn sizes_and_links(
        &self,
        remote: &Remote<'_>,
        paths: &BTreeSet<String>,
        links: &[(Utf8PathBuf, String)],
        last: bool,
    ) -> Result<Option<BTreeMap<String, u64>>> {
        if paths.is_empty() {
            return Ok(Some(BTreeMap::new()));
        }
        let links = links
            .iter()
            .map(|(link, path)| self.link_command(link, path));
        let commands = std::iter::once(self.sizes_query(paths)).chain(links);
        let mode = if last { Mode::Last } else { Mode::While };
        let mut captured = remote.run(mode, commands.collect())?.into_iter();
        let answer = captured.next().context("an answer was expected")?;
        let sizes = sizes(paths, &answer)?;
        if sizes.is_some() {
            captured.try_for_each(|captured| captured.success().map(|_| ()))?;
        }
        Ok(sizes)
    }

    /// The closure of store paths, what is referred to before what refers to it.
    pub fn closure(&self, paths: &BTreeSet<String>) -> Result<Vec<String>> {
        let command = self.about_outputs().args(["--query", "--requisites"]);
        let captured = self.machine.capture(command.args(paths))?.success()?;
        Ok(captured.lines().map(str::to_owned).collect())
    }

    /// Those of the paths that are valid.
    pub fn valid(&self, paths: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        if paths.is_empty() {
            return Ok(BTreeSet::new());
        }
        let command = self
            .about_outputs()
            .args(["--check-validity", "--print-invalid"])
            .args(paths);
        let invalid = self.machine.capture(command)?.success()?;
        let invalid: BTreeSet<&str> = invalid.lines().collect();
        Ok(paths
            .iter()
            .filter(|path| !invalid.contains(path.as_str()))
            .cloned()
            .collect())
    }

    /// Builds derivations; hands over what nix-build says as it comes, and pauses at least every `tick`.
    pub fn build(
        &self,
        drvs: &BTreeSet<String>,
        options: &BuildOptions,
        tick: Duration,
        on_input: impl FnMut(Input<'_>) -> Result<()>,
    ) -> Result<ExitStatus> {
        let command = self.build_command(drvs, options)?;
        self.machine.stream(command, tick, on_input)
    }

    /// The command that builds derivations, for [`Processes::stream_all`].
    pub fn build_command(
        &self,
        drvs: &BTreeSet<String>,
        options: &BuildOptions,
    ) -> Result<Cmd<'a>> {
        let mut command = match &self.store {
            None => self
                .builder("nix-build")?
                .args(["--log-format", "internal-json", "-v", "--no-out-link"])
                .args(drvs),
            Some(store) => {
                self.copy_derivations(drvs, store)?;
                let suffix = if store.drv_means_outputs { "" } else { "^*" };
                new_command(self.builder("nix")?)
                    .args(["build", "--log-format", "internal-json", "-v", "--no-link"])
                    .args(["--store", &store.url])
                    .args(drvs.iter().map(|drv| format!("{drv}{suffix}")))
            }
        };
        for (name, value) in &options.settings {
            command = command.args(["--option", name, value]);
        }
        if options.keep_going {
            command = command.arg("--keep-going");
        }
        if options.keep_failed {
            command = command.arg("--keep-failed");
        }
        if let Some(folder) = &options.temporary {
            command = command.env("TMPDIR", folder);
        }
        Ok(command)
    }

    /// `nix build --store` looks for derivations in the store that it builds in.
    fn copy_derivations(&self, drvs: &BTreeSet<String>, store: &Store) -> Result<()> {
        let command = new_command(self.cmd("nix"))
            .args([
                "copy",
                "--derivation",
                "--no-check-sigs",
                "--to",
                &store.url,
            ])
            .args(drvs);
        self.machine.capture(command)?.success().map(|_| ())
    }

    /// All derivations that each of these needs, itself included.
    pub fn requisites(
        &self,
        drvs: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, BTreeSet<String>>> {
        self.query("--requisites", drvs)
    }

    /// The output paths of each derivation.
    pub fn outputs(&self, drvs: &BTreeSet<String>) -> Result<BTreeMap<String, BTreeSet<String>>> {
        self.query("--outputs", drvs)
    }

    fn query(
        &self,
        question: &str,
        drvs: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, BTreeSet<String>>> {
        let command = |drv| self.cmd("nix-store").args(["--query", question]).arg(drv);
        let captured = self
            .machine
            .capture_all(drvs.iter().map(command).collect())?;
        drvs.iter()
            .zip(captured)
            .map(|(drv, captured)| {
                let paths = captured.success()?.lines().map(str::to_owned).collect();
                Ok((drv.clone(), paths))
            })
            .collect()
    }

    /// Makes links to valid store paths that the garbage collector respects.
    pub fn link(&self, links: &[(Utf8PathBuf, String)]) -> Result<()> {
        let command = |(link, path): &(Utf8PathBuf, String)| self.link_command(link, path);
        let captured = self
            .machine
            .capture_all(links.iter().map(command).collect())?;
        captured
            .into_iter()
            .try_for_each(|captured| captured.success().map(|_| ()))
    }

    fn link_command(&self, link: &Utf8Path, path: &str) -> Cmd<'a> {
        match self.machine {
            Machine::Here(_) => {
                self.cmd("nix-store")
                    .args(["--realise", path, "--add-root", link.as_str()])
            }
            Machine::There(_) => self
                .cmd("sh")
                .args(["-c", LINK_THERE, "sh", path, link.as_str()]),
        }
    }
}

impl fmt::Display for EvaluationFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told)
    }
}

impl std::error::Error for EvaluationFailed {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_until_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let program = folder.join("program");
        let link = folder.join("link");
        std::os::unix::fs::symlink(&program, &link).unwrap();
        assert_eq!(identity(&link), None);
        let write = |bytes| files::write_atomically(&program, bytes, 0o755).unwrap();
        write(b"\x7fELF 2.8");
        let first = identity(&link).unwrap();
        assert_eq!(identity(&program), Some(first.clone()));
        write(b"\x7fELF 2.9");
        assert_ne!(identity(&link), Some(first));
        write(b"#!/bin/sh");
        assert_eq!(identity(&link), None);
    }
}
