//! Flags that commands share which build: from what, over what, and where. Those of `test-build` alone are
//! in `commands/test_build.rs`.

use camino::Utf8PathBuf;

use crate::nix::PackageSet;
use crate::pins::sources::SourceOverride;
use crate::remote::Forward;

/// Flags of each command that builds: from what, over what, and where
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SourceArgs {
    /// Build from the samples in the repository, with their own pins; containers without a sample are
    /// skipped
    #[arg(long, conflicts_with_all = ["source", "pins"])]
    pub sample: bool,
    /// Build from a working tree instead of the pinned sources; containers that are not built from such a
    /// tree (source-tree.json) are skipped
    #[arg(long, value_name = "PATH")]
    pub source: Option<Utf8PathBuf>,
    /// Use another file instead of the container's pins.json
    #[arg(long, value_name = "FILE")]
    pub pins: Option<Utf8PathBuf>,
    /// The package set to build over [default: nixpkgs if it is available, else host]
    #[arg(long, value_name = "SET")]
    pub pkgs: Option<PackageSet>,
    /// Build on another machine, HOST or USER@HOST as for ssh; `local` is this one [default:
    /// `XTASK_BUILD_HOST`, else `on` in containers/CONTAINER/test-build.json, else local]
    #[arg(long, value_name = "HOST")]
    pub on: Option<String>,
    /// Show logins in the settings of npm, pip, Go, cargo and git to all builders where Nix's daemon leaves no
    /// other way over host-pkgs; without a daemon each reaches the builds that name its client, and no other
    #[arg(long)]
    pub share_logins: bool,
}

/// What is built, and how.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Options {
    /// From what, over what, and where.
    pub from: SourceArgs,
    /// The names of components.
    pub components: Vec<String>,
    /// Whether all components of all containers are meant.
    pub all: bool,
    /// Whether the components' tests are left out.
    pub no_tests: bool,
    /// Whether results are brought back from another machine.
    pub fetch: bool,
    /// Another store to build in.
    pub store: Option<String>,
    /// Names and values of Nix's settings.
    pub settings: Vec<(String, String)>,
    /// Whether what does not need what failed is built, too.
    pub keep_going: bool,
    /// Whether build folders of what failed are kept.
    pub keep_failed: bool,
    /// Whether hashes that were found are written in place of the pinned ones.
    pub write_pins: bool,
    /// Whether rows are printed as JSON lines.
    pub json: bool,
    /// A file for the results as JUnit XML.
    pub junit: Option<Utf8PathBuf>,
    /// Whether nothing of the builds is shown while they run.
    pub quiet: bool,
    /// Whether all is shown.
    pub verbose: bool,
    /// What is built is used: the connection is kept, with a port forwarded, and no table is shown.
    pub forward: Option<Forward>,
}

impl SourceArgs {
    /// The sources that are asked for.
    pub fn asked(&self) -> SourceOverride<'_> {
        SourceOverride {
            sample: self.sample,
            tree: self.source.as_deref(),
            pins: self.pins.as_deref(),
        }
    }
}
