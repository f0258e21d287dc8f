//! `cargo xtask test-build`: builds components for real, with Nix, and says how it went.

use std::process::ExitCode;

use anyhow::{Result, bail};
use camino::Utf8PathBuf;
use serde::Serialize;

use crate::build::options::{Options, SourceArgs};
use crate::build::{report, session};
use crate::machine::sandbox_probe::sandbox_problem;
use crate::nix::Description;
use sys::terminal;

/// Build components with Nix, and run their tests
///
/// Components are the attributes of containers/CONTAINER/test-build.nix. COMPONENT is looked up in all
/// containers; CONTAINER/COMPONENT names one of several with the same name, and CONTAINER/ all components
/// of a container. Output of builders is shown as it comes, each line after the component's name. Logs of
/// derivations are kept in target/test-build/logs, and a GC root of each result in
/// target/test-build/CONTAINER. At the end there is a table with state (built, cached, failed, hash
/// mismatch, skipped), time, size and output.
///
/// With `--on HOST` another machine builds. It needs ssh and Nix; this machine then needs no Nix.
///
/// Exit codes: 0 success, 1 a build failed, 2 could not run, 129, 130 or 143 interrupted by SIGHUP,
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
    /// The components to build, each as COMPONENT, CONTAINER/COMPONENT or CONTAINER/; `--list` shows them
    #[arg(value_name = "COMPONENT")]
    components: Vec<String>,
    /// List all or the named components with version, description and tests; build nothing
    #[arg(long, conflicts_with_all = ["all", "fetch", "write_pins"])]
    list: bool,
    /// Build all components of all containers
    #[arg(long, conflicts_with = "components")]
    all: bool,
    #[command(flatten)]
    from: SourceArgs,
    /// Copy the results back from the other machine: their closures into the store, or, without Nix here,
    /// their files to target/test-build/HOST
    #[arg(long)]
    fetch: bool,
    /// Set Nix's `builders`: machines to share the builds with
    #[arg(long, value_name = "SPEC")]
    builders: Option<String>,
    /// Set Nix's `max-jobs`: how many builds run at once
    #[arg(long, value_name = "N")]
    max_jobs: Option<String>,
    /// Set Nix's `substituters`: caches to take what is built already from
    #[arg(long, value_name = "URLS")]
    substituters: Option<String>,
    /// Build in another store, such as `ssh-ng://HOST`: derivations are instantiated here and copied there,
    /// and Nix there needs the settings of the package set
    #[arg(long, value_name = "URL", conflicts_with_all = ["on", "fetch"])]
    store: Option<String>,
    /// Set any of Nix's settings for the build; can be repeated
    #[arg(long, num_args = 2, value_names = ["NAME", "VALUE"], allow_hyphen_values = true)]
    option: Vec<String>,
    /// Remove the GC roots of results where they would be built now: `--on local` removes those here
    #[arg(long, conflicts_with_all = ["all", "components", "list", "fetch"])]
    gc: bool,
    /// After a failure, go on with everything that does not depend on it
    #[arg(long)]
    keep_going: bool,
    /// Keep the build folders of what failed
    #[arg(long)]
    keep_failed: bool,
    /// Don't build the components' tests
    #[arg(long)]
    no_tests: bool,
    /// Print a JSON line for each component and test: container, component, state, drv, out, seconds,
    /// phases; with `--list`: container, component, version, description, tests; with `--on`: host, too
    #[arg(long)]
    json: bool,
    /// Replace pinned hashes that turn out wrong by those that were found, and build on; implies
    /// `--keep-going`, to find all of them
    #[arg(long)]
    write_pins: bool,
    /// Also write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<Utf8PathBuf>,
    /// Show nothing while builds run
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Show command lines, all messages of Nix and, also on a terminal, all output of builders
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
