//! Where the repository is.

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

/// The file that marks the root of the repository.
pub const MARK: &str = "containers/authentik/pins.json";

/// The paths of the repository that the commands use.
#[derive(Clone, Debug)]
pub struct Repo {
    /// Absolute path of the root, without links: Nix 2.26 gives no lines of files behind one.
    pub root: Utf8PathBuf,
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

    /// The container's folder.
    pub fn container(&self) -> Utf8PathBuf {
        self.root.join("containers/authentik")
    }

    /// The pins of the release.
    pub fn pins(&self) -> Utf8PathBuf {
        self.root.join(MARK)
    }

    /// The harness that gives the components.
    pub fn test_build(&self) -> Utf8PathBuf {
        self.container().join("test-build.nix")
    }

    /// The sample: a source tree with pins of its own.
    pub fn sample(&self) -> Utf8PathBuf {
        self.container().join("sample")
    }

    /// The stand-in for nixpkgs.
    pub fn host_pkgs(&self) -> Utf8PathBuf {
        self.root.join("containers/host-pkgs")
    }

    /// Where links to results and the logs go.
    pub fn test_build_output(&self) -> Utf8PathBuf {
        self.root.join("target/test-build")
    }

    /// What xtask keeps between runs.
    pub fn state(&self) -> Utf8PathBuf {
        self.root.join("target/xtask")
    }

    /// What runs at the same time wait for each other by, before they change a file that lasts.
    pub fn lock(&self) -> Utf8PathBuf {
        self.state().join("lock")
    }

    /// `path` as people know it: relative to the root when it is below.
    pub fn shown<'a>(&self, path: &'a Utf8Path) -> &'a Utf8Path {
        path.strip_prefix(&self.root).unwrap_or(path)
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
        fs_err::create_dir_all(root.join("containers/authentik")).unwrap();
        fs_err::File::create(root.join(MARK)).unwrap();
        assert_eq!(find_upwards(&below), Some(root));
    }
}
