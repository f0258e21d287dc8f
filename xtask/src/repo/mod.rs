//! The repository: where it is, which containers it has, and where its files are.
//!
//! May use the crates below and nothing else of xtask.

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

/// The file that marks the root of the repository.
pub const MARK: &str = "containers/host-pkgs/default.nix";
/// The file that makes a folder below `containers` one whose components Nix builds.
const TEST_BUILD: &str = "test-build.nix";

/// The paths of the repository that the commands use.
#[derive(Clone, Debug)]
pub struct Repo {
    /// Absolute path of the root, without links: Nix 2.26 gives no lines of files behind one.
    pub root: Utf8PathBuf,
}

/// A container: a folder below `containers` whose test-build.nix gives components.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The folder's name.
    pub name: String,
    /// Its absolute path.
    pub folder: Utf8PathBuf,
}

/// The first folder from `start` upwards that holds [`MARK`].
fn find_upwards(start: &Utf8Path) -> Option<&Utf8Path> {
    start.ancestors().find(|folder| folder.join(MARK).is_file())
}

impl Repo {
    /// Finds the repository: above the manifest that `cargo run` names, else above the current folder.
    pub fn find() -> Result<Self> {
        if let Ok(manifest) = std::env::var("CARGO_MANIFEST_DIR")
            && let Some(root) = find_upwards(Utf8Path::new(&manifest))
        {
            return Self::at(root);
        }
        let current = std::env::current_dir().context("finding the current folder")?;
        let Some(current) = Utf8Path::from_path(&current) else {
            bail!(
                "the current folder `{}` is not UTF-8: move the repository",
                current.display()
            );
        };
        let Some(root) = find_upwards(current) else {
            bail!(
                "neither `{current}` nor a folder above it holds `{MARK}`: \
                 run this inside of the repository"
            );
        };
        Self::at(root)
    }

    fn at(root: &Utf8Path) -> Result<Self> {
        let root = root
            .canonicalize_utf8()
            .with_context(|| format!("finding the links in `{root}`"))?;
        Ok(Self { root })
    }

    /// All containers, by name.
    pub fn containers(&self) -> Result<Vec<Container>> {
        let mut containers = Vec::new();
        for entry in fs_err::read_dir(self.root.join("containers"))? {
            let folder = entry?.path();
            if !folder.join(TEST_BUILD).is_file() {
                continue;
            }
            let Some(folder) = Utf8Path::from_path(&folder) else {
                bail!(
                    "the name of the container `{}` is not UTF-8: give it another",
                    folder.display()
                );
            };
            containers.push(Container {
                name: folder.file_name().unwrap_or_default().to_owned(),
                folder: folder.to_owned(),
            });
        }
        if containers.is_empty() {
            bail!("no folder below `containers` has a {TEST_BUILD}: there is nothing to build");
        }
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(containers)
    }

    /// The stand-in for nixpkgs.
    pub fn host_pkgs(&self) -> Utf8PathBuf {
        self.root.join("containers/host-pkgs")
    }

    /// Where links to results and the logs go.
    pub fn test_build_output(&self) -> Utf8PathBuf {
        self.root.join("target/test-build")
    }

    /// Where the data of a service that `run` starts are kept.
    pub fn run_data(&self, name: &str) -> Utf8PathBuf {
        self.root.join("target/run").join(name)
    }

    /// What xtask keeps between runs.
    pub fn state(&self) -> Utf8PathBuf {
        self.root.join("target/xtask")
    }

    /// What runs at the same time wait for each other by, before they change a file that lasts.
    pub fn lock(&self) -> Utf8PathBuf {
        self.state().join("lock")
    }

    /// `path` as it is shown: relative to the root when it is below.
    pub fn shown<'a>(&self, path: &'a Utf8Path) -> &'a Utf8Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

impl Container {
    /// The pins of the release.
    pub fn pins(&self) -> Utf8PathBuf {
        self.folder.join("pins.json")
    }

    /// The harness that gives the components.
    pub fn test_build(&self) -> Utf8PathBuf {
        self.folder.join(TEST_BUILD)
    }

    /// The pins of the sample, a source tree with pins of its own. Not each container has one.
    pub fn sample_pins(&self) -> Utf8PathBuf {
        self.folder.join("sample/pins.json")
    }

    /// What a source tree has to hold to be built in place of the pinned source, in a file. Not each
    /// container can be built from a tree.
    pub fn source_tree(&self) -> Utf8PathBuf {
        self.folder.join("source-tree.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_found_from_below() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        let below = root.join("a/b");
        fs_err::create_dir_all(&below).unwrap();
        assert_eq!(find_upwards(&below), None);
        fs_err::create_dir_all(root.join("containers/host-pkgs")).unwrap();
        fs_err::File::create(root.join(MARK)).unwrap();
        assert_eq!(find_upwards(&below), Some(root));
    }

    #[test]
    fn containers_are_folders_with_a_harness() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap().to_owned();
        for file in [
            "zoo/test-build.nix",
            "host-pkgs/default.nix",
            "grafana/Dockerfile",
        ] {
            let path = root.join("containers").join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::File::create(path).unwrap();
        }
        let repo = Repo { root };
        let names = || {
            let containers = repo.containers().unwrap();
            containers.into_iter().map(|it| it.name).collect::<Vec<_>>()
        };
        assert_eq!(names(), ["zoo"]);
        let other = repo.root.join("containers/app");
        fs_err::create_dir_all(&other).unwrap();
        fs_err::File::create(other.join(TEST_BUILD)).unwrap();
        assert_eq!(names(), ["app", "zoo"]);
        fs_err::remove_dir_all(repo.root.join("containers/app")).unwrap();
        fs_err::remove_dir_all(repo.root.join("containers/zoo")).unwrap();
        assert!(repo.containers().is_err());
    }
}
