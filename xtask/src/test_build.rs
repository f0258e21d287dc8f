//! `cargo xtask test-build`: builds components for real, with Nix, and says how it went.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::nix::{self, BuildOptions, Component, Inputs, Nix, Request};
use crate::pkgs::{self, PackageSet};
use crate::process::{Interrupted, Processes};
use crate::repo::Repo;
use crate::report::{self, Logs};
use crate::run_model::{After, Row, Run, Said, State, Target};
use crate::sources::{self, Asked, Sources};
use crate::{clients, nix_log, output, setup, store_path};

/// Build components with Nix, and run their tests
///
/// The components are the attributes of containers/authentik/test-build.nix. What builders print is
/// shown as it comes, each line after the component's name; the whole log of each derivation is kept
/// below target/test-build/logs, and a link to each result below target/test-build. At the end comes a
/// table with state (built, cached, failed, hash mismatch, skipped), time, size and output.
///
/// Exit codes: 0 all there, 1 something failed, 2 could not run, 129, 130 or 143 interrupted by SIGHUP,
/// SIGINT or SIGTERM; a second SIGINT kills what does not end.
///
/// Example: `cargo xtask test-build --sample client-ts client-go`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Args {
    /// The components to build; `--list` shows them
    #[arg(value_name = "COMPONENT")]
    components: Vec<String>,
    /// Show the components with version, description and tests; build nothing
    #[arg(long, conflicts_with_all = ["all", "components"])]
    list: bool,
    /// Build all components
    #[arg(long, conflicts_with = "components")]
    all: bool,
    /// Build from the sample in the repository, with its own pins
    #[arg(long, conflicts_with_all = ["source", "pins"])]
    sample: bool,
    /// Build from a working tree of authentik in place of the pinned sources
    #[arg(long, value_name = "PATH")]
    source: Option<Utf8PathBuf>,
    /// Take the pins from another file than containers/authentik/pins.json
    #[arg(long, value_name = "FILE")]
    pins: Option<Utf8PathBuf>,
    /// The package set to build over [default: nixpkgs where it can be had, else host]
    #[arg(long, value_name = "SET")]
    pkgs: Option<PackageSet>,
    /// After a failure, build what does not need what failed
    #[arg(long)]
    keep_going: bool,
    /// Keep the build folders of what failed
    #[arg(long)]
    keep_failed: bool,
    /// Leave out the components' tests
    #[arg(long)]
    no_tests: bool,
    /// Print a JSON line for each component and test: component, state, drv, out, seconds, phases;
    /// with `--list`: component, version, description, tests
    #[arg(long)]
    json: bool,
    /// Show Nix's command lines and all that Nix says
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Serialize)]
struct Listed<'a> {
    component: &'a str,
    version: &'a str,
    description: &'a str,
    tests: Vec<&'a str>,
}

/// What a run needs, found once.
struct Session<'a> {
    args: &'a Args,
    repo: &'a Repo,
    processes: &'a Processes,
    nix: Nix<'a>,
    sources: &'a Sources,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let repo = Repo::find()?;
    let processes = Processes::new(args.verbose)?;
    let asked = Asked {
        sample: args.sample,
        tree: args.source.as_deref(),
        pins: args.pins.as_deref(),
    };
    let sources = sources::resolve(&repo, &asked)?;
    let (set, nix) = package_set(args, &repo, &processes, &sources)?;
    let inputs = Inputs {
        test_build: repo.test_build(),
        host_pkgs: (set == PackageSet::Host).then(|| repo.host_pkgs()),
        source: sources.tree.clone(),
        pins: sources.pins_file.clone(),
    };
    let session = Session {
        args,
        repo: &repo,
        processes: &processes,
        nix,
        sources: &sources,
    };
    session.run(&inputs)
}

/// Chooses the package set, says so, and sets Nix up for it.
fn package_set<'a>(
    args: &Args,
    repo: &Repo,
    processes: &'a Processes,
    sources: &Sources,
) -> Result<(PackageSet, Nix<'a>)> {
    let version = nix::version(processes)?;
    let plain = Nix::new(processes, Vec::new());
    let choice = pkgs::choose(
        args.pkgs,
        &version,
        sources.nixpkgs.as_ref(),
        |nixpkgs| {
            let Some(hash) = nixpkgs.hash.as_sha256() else {
                return Ok(false);
            };
            let path = store_path::recursive_sha256(&nix::store_dir(), "source", hash);
            Ok(!plain
                .valid(&BTreeSet::from([path.into_string()]))?
                .is_empty())
        },
        |nixpkgs| pkgs::probe(processes, repo, nixpkgs),
    )?;
    output::say(format!(
        "package set: {} ({})  sources: {}",
        choice.set.name(),
        choice.reason,
        sources.shown
    ));
    if choice.set == PackageSet::Nixpkgs {
        return Ok((choice.set, plain));
    }
    let clients = clients::write(processes)?;
    let environment = pkgs::host_environment(repo, &clients, |name| std::env::var(name).ok())?;
    Ok((choice.set, Nix::new(processes, environment)))
}

/// The components and, with `tests`, their tests.
fn targets(components: &[Component]) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut add = |label: String, drv: &Option<String>, out: &Option<String>| {
        if let (Some(drv), Some(out)) = (drv, out) {
            targets.push(Target {
                label,
                drv: drv.clone(),
                out: out.clone(),
            });
        }
    };
    for component in components {
        add(component.name.clone(), &component.drv, &component.out);
        for test in &component.tests {
            let label = format!("{}.tests.{}", component.name, test.name);
            add(label, &test.drv, &test.out);
        }
    }
    targets
}

impl Session<'_> {
    fn run(&self, inputs: &Inputs) -> Result<ExitCode> {
        let args = self.args;
        let nothing_named = args.components.is_empty() && !args.all;
        if args.list || nothing_named {
            let request = Request {
                names: None,
                build: false,
                tests: true,
            };
            let components = self.nix.describe(inputs, &request)?.components;
            if args.list {
                return self.list(&components);
            }
            bail!(
                "nothing to build was named: give components, or `--all`\n{}",
                report::list(&components).trim_end()
            );
        }
        let mut names: Vec<String> = Vec::new();
        for name in &args.components {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        let request = Request {
            names: (!args.all).then(|| names.clone()),
            build: true,
            tests: !args.no_tests,
        };
        let description = self.nix.describe(inputs, &request)?;
        let unknown: Vec<String> = names
            .iter()
            .filter(|name| !description.names.contains(name))
            .map(|name| report::unknown(name, &description.names))
            .collect();
        if !unknown.is_empty() {
            bail!("{}", unknown.join("\n"));
        }
        self.build(&targets(&description.components))
    }

    fn list(&self, components: &[Component]) -> Result<ExitCode> {
        if !self.args.json {
            output::emit(report::list(components).trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        for component in components {
            output::emit_json(&Listed {
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
        Ok(ExitCode::SUCCESS)
    }

    fn build(&self, targets: &[Target]) -> Result<ExitCode> {
        let outs: BTreeSet<String> = targets.iter().map(|target| target.out.clone()).collect();
        let mut run = Run::new(targets);
        if let Some(sizes) = self.nix.sizes_if_valid(&outs)? {
            let after = After {
                valid_before: outs.clone(),
                valid: outs,
                ..After::default()
            };
            self.link_and_show(&run.rows(targets, &after, Duration::ZERO), &sizes)?;
            return Ok(ExitCode::SUCCESS);
        }
        let valid_before = self.nix.valid(&outs)?;
        let mut logs = Logs::new(self.repo.test_build_output().join("logs"))?;
        let start = Instant::now();
        let status = self.follow(targets, &mut run, &mut logs, start)?;
        let interrupted = self.processes.acknowledge();
        let elapsed = start.elapsed();
        let valid = self.nix.valid(&outs)?;
        if let Some(interrupted) = &interrupted {
            let unfinished = self.without_output(&run)?;
            output::say(interruption(interrupted, &run, unfinished.keys()));
        } else if !status.success() {
            self.find_culprits(&mut run)?;
        }
        let missing = targets.iter().filter(|target| !valid.contains(&target.out));
        let missing: BTreeSet<String> = missing.map(|target| target.drv.clone()).collect();
        let requisites = self.nix.requisites(&missing)?;
        let after = After {
            valid_before,
            valid,
            requisites,
            success: status.success(),
        };
        let rows = run.rows(targets, &after, elapsed);
        let log_of = |drv: &str| {
            let path = logs.path(drv);
            run.started()
                .any(|started| started == drv)
                .then(|| self.repo.shown(&path).to_owned())
        };
        let failures = report::failures(&run, log_of, &self.sources.pins, &self.sources.pins_shown);
        if !failures.is_empty() {
            output::say(format!("\n{}", failures.trim_end()));
        }
        if !status.success() && setup::is_untrusted(self.processes)? {
            output::say(
                "\nthe Nix daemon ignores the settings of this build, the sandbox's among them, \
                 because it does not trust this user: `cargo xtask setup` says what to do",
            );
        }
        let there = rows.iter().filter_map(|row| row.out.clone()).collect();
        let sizes = self.nix.sizes_if_valid(&there)?.unwrap_or_default();
        self.link_and_show(&rows, &sizes)?;
        if let Some(interrupted) = interrupted {
            return Ok(interrupted.exit_code());
        }
        exit_code(&rows, &run, status)
    }

    /// Runs nix-build; shows and logs what comes.
    fn follow(
        &self,
        targets: &[Target],
        run: &mut Run,
        logs: &mut Logs,
        start: Instant,
    ) -> Result<ExitStatus> {
        let args = self.args;
        let colours = output::stderr_takes_colours();
        let options = BuildOptions {
            keep_going: args.keep_going,
            keep_failed: args.keep_failed,
        };
        let drvs = targets.iter().map(|target| target.drv.clone()).collect();
        self.nix.build(&drvs, options, |line| {
            for event in nix_log::parse(line) {
                match run.apply(event, start.elapsed()) {
                    Some(Said::Starts { drv }) => {
                        logs.start(&drv)?;
                        output::say(report::labelled(
                            run.label(&drv),
                            &format!("building {drv}"),
                            colours,
                        ));
                    }
                    Some(Said::Log { drv, line }) => {
                        logs.line(&drv, &line)?;
                        // stdenv says the same once more.
                        let phase = line.strip_prefix("Running phase: ");
                        if phase.is_some() && phase == run.phase(&drv) {
                            continue;
                        }
                        // A line that a builder left empty is a line.
                        let line = if line.is_empty() { " " } else { &line };
                        output::say(report::labelled(run.label(&drv), line, colours));
                    }
                    Some(Said::Phase { drv, phase }) => {
                        let line = format!("[{phase}]");
                        logs.line(&drv, &line)?;
                        output::say(report::labelled(run.label(&drv), &line, colours));
                    }
                    Some(Said::Ends { drv }) => logs.end(&drv),
                    Some(Said::Counts) => {
                        run.note_outputs(start.elapsed(), |out| Utf8Path::new(out).exists());
                    }
                    Some(Said::Nix { detail, text }) if args.verbose || !detail => {
                        output::say(report::labelled("nix", &text, colours));
                    }
                    Some(Said::Nix { .. }) | None => {}
                }
            }
            Ok(())
        })
    }

    /// Some of Nix's errors name no derivation, or an output only. Then it is a derivation whose build
    /// began and left no output.
    fn find_culprits(&self, run: &mut Run) -> Result<()> {
        if run.any_failure() && run.other_errors().is_empty() {
            return Ok(());
        }
        let suspects = self.without_output(run)?;
        let (named, unnamed): (Vec<_>, Vec<_>) = suspects.iter().partition(|(_, outs)| {
            outs.iter()
                .any(|out| run.other_errors().iter().any(|error| error.contains(out)))
        });
        let culprits = if named.is_empty() && !run.any_failure() {
            unnamed
        } else {
            named
        };
        for (drv, _) in culprits {
            run.blame(drv);
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

    /// Links to what is there, then the table and the JSON lines.
    fn link_and_show(&self, rows: &[Row], sizes: &BTreeMap<String, u64>) -> Result<()> {
        let folder = self.repo.test_build_output().join(self.sources.results);
        fs_err::create_dir_all(&folder)?;
        let links: Vec<(Utf8PathBuf, String)> = rows
            .iter()
            .filter_map(|row| Some((folder.join(&row.component), row.out.clone()?)))
            .filter(|(link, out)| !is_link_to(link, out))
            .collect();
        self.nix.link(&links)?;
        output::say(format!("\n{}", report::rows_table(rows, sizes).trim_end()));
        if self.args.json {
            rows.iter().try_for_each(output::emit_json)?;
        }
        Ok(())
    }
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

fn exit_code(rows: &[Row], run: &Run, status: ExitStatus) -> Result<ExitCode> {
    if rows
        .iter()
        .any(|row| matches!(row.state, State::Failed | State::HashMismatch))
    {
        return Ok(ExitCode::from(1));
    }
    if !status.success() {
        let reasons = run.other_errors().join("\n");
        bail!("nix-build ended without building ({status})\n{reasons}");
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::Test;

    #[test]
    fn tests_follow_their_component() {
        let component = Component {
            name: "client-ts".to_owned(),
            version: String::new(),
            description: String::new(),
            drv: Some("/c.drv".to_owned()),
            out: Some("/c".to_owned()),
            tests: vec![Test {
                name: "types".to_owned(),
                drv: Some("/t.drv".to_owned()),
                out: Some("/t".to_owned()),
            }],
        };
        let targets = targets(&[component]);
        let labels: Vec<&str> = targets.iter().map(|target| target.label.as_str()).collect();
        assert_eq!(labels, ["client-ts", "client-ts.tests.types"]);
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
