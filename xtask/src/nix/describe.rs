//! What is asked about the components of containers, and what the answers look like: describe.nix.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::nix::machine::Machine;
use crate::repo::Container;

/// A package set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PackageSet {
    /// The nixpkgs revision in pins.json
    Nixpkgs,
    /// host-pkgs, made from this machine's own tools
    Host,
}

/// What the expressions of a container are called with.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The container.
    pub container: Container,
    /// The stand-in for nixpkgs; without it the harness takes its pinned nixpkgs.
    pub host_pkgs: Option<Utf8PathBuf>,
    /// A source tree instead of the pinned one.
    pub source: Option<Utf8PathBuf>,
    /// Pins other than the release's.
    pub pins: Option<Utf8PathBuf>,
}

/// What is asked about the components of containers.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own"
)]
pub struct Request<'a> {
    /// What the expressions of each container are called with, and which components of it are meant:
    /// all, if absent.
    pub containers: Vec<(&'a Inputs, Option<Vec<String>>)>,
    /// Whether their derivations are wanted.
    pub build: bool,
    /// Whether their tests are wanted.
    pub tests: bool,
    /// Whether hashes that the pins lack are to be found, and fake ones take their place.
    pub find_hashes: bool,
    /// Whether nothing is wanted but which derivations take their hashes from which pins.
    pub pinned: bool,
}

/// A fixed-output derivation whose hash is in a pins file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Pinned {
    /// The store path of the derivation.
    pub drv: String,
    /// The store path of its output.
    pub out: String,
    /// The pins file.
    pub file: Utf8PathBuf,
    /// The names that lead to the hash in it.
    pub key: Vec<String>,
}

/// What the harness of a container offers.
#[derive(Debug, Deserialize)]
pub struct Description {
    /// The container's name.
    pub container: String,
    /// The names of all components.
    pub names: Vec<String>,
    /// Those that were asked for and are there.
    pub components: Vec<Component>,
}

/// A component.
#[derive(Debug, Deserialize)]
pub struct Component {
    /// The attribute.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `meta.description`.
    pub description: String,
    /// What to build.
    #[serde(flatten)]
    pub built: Buildable,
    /// Its tests, if asked for.
    pub tests: Vec<Test>,
}

/// What a component or test needs to be built, if that was asked for.
#[derive(Debug, Default, Deserialize)]
pub struct Buildable {
    /// The store path of its derivation.
    pub drv: Option<String>,
    /// The store path of its first output.
    pub out: Option<String>,
    /// Where it is defined, `FILE:LINE`, if that is known.
    pub position: Option<String>,
}

/// A test of a component.
#[derive(Debug, Deserialize)]
pub struct Test {
    /// The attribute below `passthru.tests`.
    pub name: String,
    /// What to build.
    #[serde(flatten)]
    pub built: Buildable,
}

/// A request as describe.nix reads it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "as in a request")]
pub struct Question<'a> {
    /// One package set for all containers.
    host_pkgs: Option<Utf8PathBuf>,
    containers: Vec<AboutContainer<'a>>,
    build: bool,
    tests: bool,
    find_hashes: bool,
    pinned: bool,
}

/// A container in a request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AboutContainer<'a> {
    container: &'a str,
    test_build: Utf8PathBuf,
    source: Option<Utf8PathBuf>,
    pins: Option<Utf8PathBuf>,
    names: Option<&'a [String]>,
}

/// A request as describe.nix reads it, with the paths of the machine that evaluates.
pub fn question<'a>(request: &'a Request<'_>, machine: Machine<'_>) -> Question<'a> {
    let there = |path: &Option<Utf8PathBuf>| path.as_deref().map(|path| machine.path(path));
    let about = |(inputs, names): &'a (&Inputs, Option<Vec<String>>)| AboutContainer {
        container: &inputs.container.name,
        test_build: machine.path(&inputs.container.test_build()),
        source: there(&inputs.source),
        pins: there(&inputs.pins),
        names: names.as_deref(),
    };
    let host_pkgs = |(inputs, _): &(&Inputs, _)| there(&inputs.host_pkgs);
    Question {
        host_pkgs: request.containers.iter().find_map(host_pkgs),
        containers: request.containers.iter().map(about).collect(),
        build: request.build,
        tests: request.tests,
        find_hashes: request.find_hashes,
        pinned: request.pinned,
    }
}

impl PackageSet {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nixpkgs => "nixpkgs",
            Self::Host => "host-pkgs",
        }
    }
}
