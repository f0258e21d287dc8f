//! `cargo xtask test-build`: builds components for real, with Nix, and says how it went.

use std::process::ExitCode;

use anyhow::{Result, bail};
use camino::Utf8PathBuf;
use serde::Serialize;

use crate::build::options::{From, Options};
use crate::build::{report, session};
use crate::machine::sandbox_probe::sandbox_problem;
use crate::nix::Description;
use sys::terminal;

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
    #[command(flatten)]
    from: From,
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
    /// Remove the GC roots of results, here or with `--on` on the other machine
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

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let options = args.options();
    if args.gc {
        return session::drop_results(&options);
    }
    if args.list {
        return session::list(&options, |host, described| {
            list(args.json, host, described)?;
            Ok(ExitCode::SUCCESS)
        });
    }
    if args.components.is_empty() && !args.all {
        return session::list(&options, |_, described| {
            bail!(
                "nothing to build was named: give components, or `--all`\n{}",
                report::list(described).trim_end()
            )
        });
    }
    session::build(&options, sandbox_problem, None)
}

impl Args {
    fn options(&self) -> Options {
        Options {
            from: self.from.clone(),
            components: self.components.clone(),
            all: self.all,
            no_tests: self.no_tests,
            fetch: self.fetch,
            store: self.store.clone(),
            settings: self.settings(),
            keep_going: self.keep_going,
            keep_failed: self.keep_failed,
            write_pins: self.write_pins,
            json: self.json,
            junit: self.junit.clone(),
            quiet: self.quiet,
            verbose: self.verbose,
            forward: None,
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

/// Prints what components there are.
fn list(json: bool, host: Option<&str>, described: &[Description]) -> Result<()> {
    if !json {
        return terminal::emit(report::list(described).trim_end());
    }
    for container in described {
        for component in &container.components {
            terminal::emit_json(&Listed {
                host,
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
