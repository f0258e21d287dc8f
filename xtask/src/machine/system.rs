//! The kinds of systems that `setup` knows remedies for, told by Nix's name of the system and os-release(5).

use sys::platform;

/// A kind of system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Linux with apt.
    Debian,
    /// Linux whose settings are those of its configuration.
    NixOs,
    /// Another Linux.
    Linux,
    MacOs,
}

impl Kind {
    /// The kind of this machine.
    pub fn here() -> Self {
        let os_release = fs_err::read_to_string("/etc/os-release");
        Self::of(&platform::nix_system(), &os_release.unwrap_or_default())
    }

    /// The kind of a system such as `x86_64-linux` with this text in `/etc/os-release`.
    pub fn of(system: &str, os_release: &str) -> Self {
        let is = |id: &str| ids(os_release).any(|word| word == id);
        if system.ends_with("-darwin") {
            Self::MacOs
        } else if is("debian") {
            Self::Debian
        } else if is("nixos") {
            Self::NixOs
        } else {
            Self::Linux
        }
    }

    /// How what Debian has as `package` is installed.
    pub fn install(self, package: &str) -> String {
        let remedy = match (self, package) {
            (Self::Debian, _) => format!("apt-get install {package}"),
            (Self::NixOs | Self::Linux, _) => {
                format!("install the equivalent of Debian's package `{package}`")
            }
            (Self::MacOs, "git") => "xcode-select --install".to_owned(),
            (Self::MacOs, "openssh-client") => "brew install openssh".to_owned(),
            (Self::MacOs, "golang-go") => "brew install go".to_owned(),
            (Self::MacOs, "pre-commit") => "brew install prek".to_owned(),
            (Self::MacOs, _) => format!("brew install {package}"),
        };
        if package == "pre-commit" && self != Self::MacOs {
            return remedy + ", or `pipx install pre-commit`, or `pipx install prek`";
        }
        remedy
    }

    /// How Nix's daemon is started.
    pub fn start_daemon(self) -> &'static str {
        match self {
            Self::MacOs => "`sudo launchctl kickstart -k system/org.nixos.nix-daemon`",
            Self::Debian | Self::NixOs | Self::Linux => {
                "`systemctl start nix-daemon`, or as root `nix-daemon &`"
            }
        }
    }
}

/// The words of `ID` and `ID_LIKE` in `/etc/os-release` (os-release(5)).
fn ids(os_release: &str) -> impl Iterator<Item = &str> {
    let values = os_release.lines().filter_map(|line| {
        line.strip_prefix("ID=")
            .or_else(|| line.strip_prefix("ID_LIKE="))
    });
    values.flat_map(|value| value.trim_matches(['"', '\'']).split_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release() {
        for (text, kind) in [
            ("ID=debian\n", Kind::Debian),
            ("NAME=x\nID=ubuntu\nID_LIKE=debian\n", Kind::Debian),
            ("ID=pop\nID_LIKE=\"ubuntu debian\"\n", Kind::Debian),
            ("ID=nixos\nID_LIKE=\"\"\n", Kind::NixOs),
            ("ID=fedora\nPRETTY_NAME=\"not debian\"\n", Kind::Linux),
            ("ID=debianish\n", Kind::Linux),
            ("", Kind::Linux),
        ] {
            assert_eq!(Kind::of("x86_64-linux", text), kind, "{text}");
            assert_eq!(Kind::of("aarch64-darwin", text), Kind::MacOs, "{text}");
        }
    }
}
