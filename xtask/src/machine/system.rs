//! The kinds of systems that `setup` knows remedies for, told by Nix's name of the system.

/// A kind of system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Linux with apt.
    Debian,
    /// Another Linux.
    Linux,
    MacOs,
}

impl Kind {
    /// The kind of a system such as `x86_64-linux`; `debian` says whether it has apt.
    pub fn of(system: &str, debian: bool) -> Self {
        if system.ends_with("-darwin") {
            Self::MacOs
        } else if debian {
            Self::Debian
        } else {
            Self::Linux
        }
    }

    /// How what Debian has as `package` is installed.
    pub fn install(self, package: &str) -> String {
        let remedy = match (self, package) {
            (Self::Debian, _) => format!("apt-get install {package}"),
            (Self::Linux, _) => format!("install the equivalent of Debian's package `{package}`"),
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
            Self::Debian | Self::Linux => "`systemctl start nix-daemon`, or as root `nix-daemon &`",
        }
    }
}
