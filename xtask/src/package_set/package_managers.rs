//! This machine's settings for npm, pip, Go, cargo and git, handed to the builders that fetch.
//!
//! A fixed-output derivation must reach the network as the user does: through the same registry, proxy
//! and login. Only what says *where and how to connect* is taken, by a list of allowed keys; what names
//! files of this machine would point nowhere in the sandbox. The hash decides what is fetched.
//!
//! There may be logins among them. Nix hands them over in variables, each to the fixed outputs that name it
//! in `impureEnvVars`: no other builder and no other user sees them, and they are in no file. A daemon has
//! variables of its own; through one they lie in a folder that each builder sees, and logins only if the
//! user agrees to that.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use anyhow::{Context as _, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};

use crate::remote::nonce;
use sys::files;
use sys::process::{Processes, find_program, is_missing_program};
use sys::quote::quoted;
use sys::terminal;

/// The variables of `go env` that say where modules come from.
pub const GO_KEYS: [&str; 6] = [
    "GOPROXY",
    "GOSUMDB",
    "GONOSUMDB",
    "GOPRIVATE",
    "GONOPROXY",
    "GOINSECURE",
];
/// The keys of pip's configuration that say how to connect.
const PIP_KEYS: [&str; 7] = [
    "index-url",
    "extra-index-url",
    "proxy",
    "trusted-host",
    "timeout",
    "default-timeout",
    "retries",
];
/// The tables of cargo's configuration that say where crates come from and how to connect.
const CARGO_TABLES: [&str; 5] = ["http", "net", "registries", "registry", "source"];
/// The keys in them that name files or programs of this machine.
const CARGO_FILE_KEYS: [&str; 5] = [
    "cainfo",
    "credential-provider",
    "directory",
    "global-credential-providers",
    "local-registry",
];
/// The variables that most programs take a proxy from, in either case.
const PROXY_KEYS: [&str; 4] = ["http_proxy", "https_proxy", "no_proxy", "all_proxy"];

/// Prints git's `url.BASE.insteadOf` settings of the system, the user and the environment, not those of a
/// repository that one happens to stand in. The variable `GIT_CONFIG` counts for `git config` alone.
const GIT_SCRIPT: &str = r"unset GIT_CONFIG
command -v git >/dev/null || exit 1
exec git --git-dir=/dev/null config -z --includes --get-regexp '^url\..*\.insteadof$'";
/// The addresses that git can use without a file or program of this machine, such as a key for ssh.
const GIT_SCHEMES: [&str; 3] = ["git://", "http://", "https://"];
/// The variable that hands git's settings to builders.
const GIT_VARIABLE: &str = "FETCH_GITCONFIG";
/// The variables that hand over what would be these files.
const VARIABLES: [(&str, &str); 5] = [
    ("npmrc", "FETCH_NPMRC"),
    ("pip.conf", "FETCH_PIP_CONF"),
    ("go.env", "FETCH_GO_ENV"),
    ("cargo.toml", "FETCH_CARGO_CONFIG"),
    ("gitconfig", GIT_VARIABLE),
];

/// Settings: sorted, so that the same input writes the same bytes.
pub type Settings = BTreeMap<String, String>;

/// What the clients of a machine are told about connecting.
#[derive(Debug, Default)]
pub struct Found {
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// npm's settings files, the weakest first.
    pub npm: Vec<String>,
    /// pip's settings files, the weakest first.
    pub pip: Vec<String>,
    /// cargo's settings files.
    pub cargo: Vec<String>,
    /// What `go env` says, if there is Go.
    pub go: Option<Settings>,
    /// What [`git_command`] prints.
    pub git: String,
}

/// Where a machine's settings files are.
#[derive(Debug)]
pub struct Files {
    /// npm's, the weakest first.
    pub npm: Vec<Utf8PathBuf>,
    /// pip's, the weakest first.
    pub pip: Vec<Utf8PathBuf>,
    /// cargo's.
    pub cargo: Vec<Utf8PathBuf>,
}

impl Files {
    /// Those that count with this environment; `node_prefix` is the folder above that of `node`.
    pub fn new(variable: impl Fn(&str) -> Option<String>, node_prefix: Option<&Utf8Path>) -> Self {
        let home = variable("HOME");
        let home = home.as_deref().map(Utf8Path::new);
        Self {
            npm: npm_files(home, variable("NPM_CONFIG_USERCONFIG"), node_prefix),
            pip: pip_files(
                home,
                variable("XDG_CONFIG_HOME"),
                variable("PIP_CONFIG_FILE"),
            ),
            cargo: cargo_files(home, variable("CARGO_HOME")),
        }
    }
}

impl Found {
    /// The files for the builders, by name.
    pub fn files(&self) -> [(&'static str, String); 6] {
        let of_environment = || {
            let known = |(key, _): &&(String, String)| GO_KEYS.contains(&key.as_str());
            self.environment.iter().filter(known).cloned().collect()
        };
        let go = self.go.clone().unwrap_or_else(of_environment);
        [
            ("npmrc", npmrc(&self.npm, &self.environment)),
            ("pip.conf", pip_conf(&self.pip, &self.environment)),
            ("go.env", go_env(&go)),
            ("cargo.toml", cargo_toml(&self.cargo)),
            ("proxy.sh", proxy_sh(&self.environment)),
            ("gitconfig", gitconfig(&self.git)),
        ]
    }

    /// The variables for builders, by the names that fixed outputs have in `impureEnvVars`.
    pub fn variables(&self) -> Vec<(String, String)> {
        let files = self.files().into_iter();
        let texts = files.filter_map(|(file, text)| {
            let (_, variable) = VARIABLES.iter().find(|(name, _)| *name == file)?;
            (!text.is_empty()).then(|| ((*variable).to_owned(), text))
        });
        let given = |key: &str| {
            let found = self.environment.iter().find(|(name, _)| name == key)?;
            Some(found.1.clone()).filter(|value| !value.is_empty())
        };
        // Nix's fetchers know them in small letters.
        let proxies = PROXY_KEYS.iter().filter_map(|key| {
            let value = given(key).or_else(|| given(&key.to_uppercase()))?;
            Some(((*key).to_owned(), value))
        });
        texts.chain(proxies).collect()
    }

    /// The files for builders of a daemon. Those with logins are left out and named, unless they may be
    /// shared with all builders.
    pub fn shared(&self, with_logins: bool) -> (Vec<(&'static str, String)>, Vec<&'static str>) {
        let (kept, left_out): (Vec<_>, Vec<_>) = self
            .files()
            .into_iter()
            .partition(|(_, text)| with_logins || !has_login(text));
        let left_out = left_out.into_iter().map(|(name, _)| name).collect();
        (kept, left_out)
    }
}

/// Says which settings a daemon's builders don't get.
pub fn say_left_out(left_out: &[&str]) {
    if !left_out.is_empty() {
        terminal::say(format!(
            "note: logins in {} are not handed to builders: Nix is reached through a daemon, and every \
             builder could read them; `--share-logins` hands them over all the same",
            left_out.join(", ")
        ));
    }
}

/// What the clients of this machine are told about connecting.
pub fn found(processes: &Processes) -> Result<Found> {
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let variable = |name: &str| {
        environment
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    let files = Files::new(variable, node_prefix().as_deref());
    Ok(Found {
        npm: read_all(&files.npm)?,
        pip: read_all(&files.pip)?,
        cargo: read_all(&files.cargo)?,
        go: go_settings(processes)?,
        git: git_settings(processes)?,
        environment,
    })
}

/// Writes files into a folder that builders see, below `parent` under a name that nobody can guess, and
/// gives its path.
pub fn write(parent: &Utf8Path, files: &[(&str, String)]) -> Result<Utf8PathBuf> {
    let folder = parent.join(nonce()?);
    fs_err::create_dir(&folder)?;
    files::set_mode(&folder, 0o755)?;
    for (name, text) in files {
        files::write_atomically(&folder.join(name), text.as_bytes(), 0o644)?;
    }
    Ok(folder)
}

/// Whether settings hold more than addresses: npm binds logins to them, cargo has tokens, and any address
/// can have a user and a password.
fn has_login(text: &str) -> bool {
    let has_user = |line: &str| {
        let mut rest = line;
        while let Some((_, address)) = rest.split_once("://") {
            let end = address.find(['/', '\'', '"', ' ', ',']);
            if address[..end.unwrap_or(address.len())].contains('@') {
                return true;
            }
            rest = address;
        }
        false
    };
    let is_bound = |line: &str| line.starts_with("//") || line.trim_start().starts_with("token");
    text.lines().any(|line| is_bound(line) || has_user(line))
}

/// The texts of those files that exist.
fn read_all(files: &[Utf8PathBuf]) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for file in files {
        match fs_err::read(file) {
            Ok(bytes) => texts.push(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).context("reading the settings of a package client");
            }
        }
    }
    Ok(texts)
}

/// The folder above the folder of the real `node` on PATH: npm looks for its global settings there.
fn node_prefix() -> Option<Utf8PathBuf> {
    find_program("node")?
        .canonicalize_utf8()
        .ok()?
        .parent()?
        .parent()
        .map(Utf8Path::to_owned)
}

/// npm's settings files, the weakest first.
fn npm_files(
    home: Option<&Utf8Path>,
    user: Option<String>,
    prefix: Option<&Utf8Path>,
) -> Vec<Utf8PathBuf> {
    let mut files = vec!["/etc/npmrc".into()];
    files.extend(prefix.map(|prefix| prefix.join("etc/npmrc")));
    let user = user.filter(|path| !path.is_empty()).map(Utf8PathBuf::from);
    files.extend(user.or_else(|| home.map(|home| home.join(".npmrc"))));
    files
}

/// pip's settings files, the weakest first.
fn pip_files(
    home: Option<&Utf8Path>,
    config_home: Option<String>,
    named: Option<String>,
) -> Vec<Utf8PathBuf> {
    if named.as_deref() == Some("/dev/null") {
        // So pip is told to read none at all.
        return Vec::new();
    }
    let mut files = vec!["/etc/xdg/pip/pip.conf".into(), "/etc/pip.conf".into()];
    files.extend(home.map(|home| home.join(".pip/pip.conf")));
    let config_home = config_home
        .filter(|path| !path.is_empty())
        .map(Utf8PathBuf::from);
    let config_home = config_home.or_else(|| home.map(|home| home.join(".config")));
    files.extend(config_home.map(|folder| folder.join("pip/pip.conf")));
    files.extend(named.filter(|path| !path.is_empty()).map(Utf8PathBuf::from));
    files
}

/// cargo's settings file.
fn cargo_files(home: Option<&Utf8Path>, cargo_home: Option<String>) -> Vec<Utf8PathBuf> {
    let cargo_home = cargo_home
        .filter(|path| !path.is_empty())
        .map(Utf8PathBuf::from)
        .or_else(|| home.map(|home| home.join(".cargo")));
    cargo_home
        .map(|folder| folder.join("config.toml"))
        .into_iter()
        .collect()
}

/// A `config.toml` with what the files say about connecting: the tables of registries and sources, line
/// by line, without the keys that name files.
fn cargo_toml(files: &[String]) -> String {
    let mut kept = String::new();
    let mut inside = false;
    for line in files.iter().flat_map(|text| text.lines()) {
        let trimmed = line.trim();
        if let Some(header) = trimmed.strip_prefix('[') {
            let table = header.split([']', '.']).next().unwrap_or_default();
            inside = CARGO_TABLES.contains(&table.trim().trim_matches('"'));
        }
        let key = trimmed.split('=').next().unwrap_or_default();
        if inside && !CARGO_FILE_KEYS.contains(&key.trim()) && !trimmed.is_empty() {
            kept += line;
            kept.push('\n');
        }
    }
    kept
}

/// An `.npmrc` with what the files (the weakest first) and the environment say about connecting.
fn npmrc(files: &[String], environment: &[(String, String)]) -> String {
    let mut settings = Settings::new();
    for line in files.iter().flat_map(|text| text.lines()) {
        let line = line.trim();
        if line.starts_with([';', '#']) {
            continue;
        }
        if let Some((key, value)) = line.split_once('=') {
            let key = key.trim();
            if is_npm_key(key) {
                let value = expand_variables(value.trim(), environment);
                settings.insert(key.to_owned(), value);
            }
        }
    }
    for (key, value) in environment {
        let prefix = key.get(.."npm_config_".len());
        if value.is_empty() || !prefix.is_some_and(|it| it.eq_ignore_ascii_case("npm_config_")) {
            continue;
        }
        let key = &key["npm_config_".len()..];
        // As npm does: what is bound to an address keeps its case and its underscores.
        let key = if key.starts_with("//") {
            key.to_owned()
        } else {
            key.to_lowercase().replace('_', "-")
        };
        if is_npm_key(&key) {
            settings.insert(key, value.clone());
        }
    }
    settings.iter().fold(String::new(), |text, (key, value)| {
        text + key + "=" + value + "\n"
    })
}

/// Whether a key of npm's settings says how to connect, without naming a file.
fn is_npm_key(key: &str) -> bool {
    if let Some(bound) = key.strip_prefix("//") {
        return !["certfile", "keyfile", "cafile"]
            .iter()
            .any(|file| bound.ends_with(file));
    }
    (key.starts_with('@') && key.ends_with(":registry"))
        || key.starts_with("fetch-")
        || [
            "registry",
            "proxy",
            "http-proxy",
            "https-proxy",
            "noproxy",
            "strict-ssl",
        ]
        .contains(&key)
}

/// `${NAME}` replaced by the variable, as npm does; one that is not set stays as it is.
fn expand_variables(text: &str, environment: &[(String, String)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else {
            break;
        };
        let (before, reference) = (&rest[..start], &rest[start..=start + length]);
        let name = &reference[2..reference.len() - 1];
        out.push_str(before);
        let value = environment.iter().find(|(key, _)| key == name);
        out.push_str(value.map_or(reference, |(_, value)| value));
        rest = &rest[start + length + 1..];
    }
    out + rest
}

/// A `pip.conf` with what the files (the weakest first) and the environment say about connecting.
///
/// `[install]` goes before `[global]`, as for `pip install`.
fn pip_conf(files: &[String], environment: &[(String, String)]) -> String {
    let mut settings = Settings::new();
    for wanted in ["global", "install"] {
        for text in files {
            settings.extend(ini_section(text, wanted));
        }
    }
    for (key, value) in environment {
        if let Some(key) = key.strip_prefix("PIP_")
            && !value.is_empty()
        {
            settings.insert(key.to_lowercase().replace('_', "-"), value.clone());
        }
    }
    settings.retain(|key, _| PIP_KEYS.contains(&key.as_str()));
    if settings.is_empty() {
        return String::new();
    }
    settings
        .iter()
        .fold("[global]\n".to_owned(), |text, (key, value)| {
            let value = value.split_whitespace().collect::<Vec<_>>().join("\n    ");
            text + key + " = " + &value + "\n"
        })
}

/// A section of a file that Python's configparser reads; values may go on in indented lines.
fn ini_section(text: &str, wanted: &str) -> Settings {
    let mut settings = Settings::new();
    let mut inside = false;
    let mut last: Option<String> = None;
    for line in text.lines() {
        let content = line.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with(char::is_whitespace)
            && let Some(value) = last.as_ref().and_then(|key| settings.get_mut(key))
        {
            value.push('\n');
            value.push_str(content);
            continue;
        }
        last = None;
        if let Some(name) = content
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            inside = name.trim() == wanted;
        } else if inside && let Some((key, value)) = content.split_once(['=', ':']) {
            let key = key.trim().to_lowercase().replace('_', "-");
            settings.insert(key.clone(), value.trim().to_owned());
            last = Some(key);
        }
    }
    settings
}

/// The command that says how Go connects, as JSON.
pub fn go_command() -> Vec<&'static str> {
    [&["go", "env", "-json"][..], &GO_KEYS].concat()
}

/// What `go env` says; nothing without Go.
fn go_settings(processes: &Processes) -> Result<Option<Settings>> {
    let [program, arguments @ ..] = &go_command()[..] else {
        return Ok(None);
    };
    match processes.capture(processes.cmd(program).args(arguments)) {
        Ok(captured) if captured.status.success() => serde_json::from_str(&captured.stdout)
            .with_context(|| format!("reading the output of `{}`", captured.command)),
        Ok(captured) => Err(anyhow::anyhow!(
            "`{}` failed ({}): {}",
            captured.command,
            captured.status,
            captured.stderr.trim()
        )),
        Err(error) if is_missing_program(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file for `GOENV`.
fn go_env(settings: &Settings) -> String {
    settings
        .iter()
        .filter(|(key, value)| GO_KEYS.contains(&key.as_str()) && !value.is_empty())
        .fold(String::new(), |text, (key, value)| {
            text + key + "=" + value + "\n"
        })
}

/// The command that prints git's settings on addresses. It ends with 1 if there are none or there is no git.
pub fn git_command() -> [&'static str; 3] {
    ["sh", "-c", GIT_SCRIPT]
}

/// The variables for builders over nixpkgs. Those of a daemon are the daemon's own.
pub fn nixpkgs_environment(processes: &Processes) -> Result<Vec<(String, String)>> {
    Ok(git_variables(&git_settings(processes)?))
}

/// The same from what [`git_command`] printed.
pub fn git_variables(printed: &str) -> Vec<(String, String)> {
    let text = gitconfig(printed);
    let variable = (!text.is_empty()).then(|| (GIT_VARIABLE.to_owned(), text));
    variable.into_iter().collect()
}

/// What [`git_command`] prints here.
fn git_settings(processes: &Processes) -> Result<String> {
    let [program, arguments @ ..] = git_command();
    let captured = match processes.capture(processes.cmd(program).args(arguments)) {
        Ok(captured) => captured,
        // Where there is no shell on PATH there is no git that would ask.
        Err(error) if is_missing_program(&error) => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    match captured.status.code() {
        Some(0) => Ok(captured.stdout),
        Some(1) => Ok(String::new()),
        _ => Err(anyhow!(
            "reading git's settings on addresses failed ({}): {}",
            captured.status,
            captured.stderr.trim()
        )),
    }
}

/// A configuration file for git that says which addresses to ask in place of others, from settings that
/// each end with a NUL and have a newline before their value; in the order in which git reads them.
fn gitconfig(printed: &str) -> String {
    let settings = printed.split_terminator('\0').filter_map(|setting| {
        let (key, value) = setting.split_once('\n')?;
        let base = key.strip_prefix("url.")?.strip_suffix(".insteadof")?;
        let is_usable = GIT_SCHEMES.iter().any(|scheme| base.starts_with(scheme));
        // No address holds them, nor does a file everything that git reads from a variable.
        let is_odd = |text: &str| text.contains(|c: char| c.is_control());
        (is_usable && !is_odd(base) && !is_odd(value)).then_some((base, value))
    });
    settings.fold(String::new(), |text, (base, value)| {
        text + "[url " + &git_quoted(base) + "]\n\tinsteadOf = " + &git_quoted(value) + "\n"
    })
}

/// Text in quotes for a configuration file of git.
fn git_quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

/// Shell text that sets the proxy variables.
fn proxy_sh(environment: &[(String, String)]) -> String {
    let settings: Settings = environment
        .iter()
        .filter(|(key, value)| {
            let lower = key.to_lowercase();
            PROXY_KEYS.contains(&lower.as_str())
                && (*key == lower || *key == key.to_uppercase())
                && !value.is_empty()
        })
        .cloned()
        .collect();
    settings.iter().fold(String::new(), |text, (key, value)| {
        text + "export " + key + "=" + &quoted(value) + "\n"
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn npm() {
        let global = "registry = https://weak.example/\nprefix=/usr/local\nomit=dev\n".to_owned();
        let user = "; a comment\n# registry=x\nregistry=https://r.example/\n\
                    @scope:registry=https://s.example/\n\
                    //r.example/:_authToken=${TOKEN}\n//r.example/:other=${UNSET}\n\
                    //r.example/:certfile=/home/u/cert\n//r.example/:keyfile=/home/u/key\n\
                    cafile=/etc/ca\ncache=/c\nstrict-ssl=false\nnonsense\n"
            .to_owned();
        let environment = environment(&[
            ("TOKEN", "t"),
            ("npm_config_fetch_retries", "5"),
            ("NPM_CONFIG_HTTPS_PROXY", "http://p.example:1"),
            ("NPM_CONFIG_CACHE", "/c"),
            ("npm_config_noproxy", ""),
            ("npm_config_//h.example/:_authToken", "u"),
            ("NPM", "x"),
            ("ÄÄÄÄÄÄÄÄÄÄÄÄ", "x"),
        ]);
        assert_eq!(
            npmrc(&[global, user], &environment),
            "//h.example/:_authToken=u\n//r.example/:_authToken=t\n//r.example/:other=${UNSET}\n\
             @scope:registry=https://s.example/\nfetch-retries=5\nhttps-proxy=http://p.example:1\n\
             registry=https://r.example/\nstrict-ssl=false\n"
        );
        assert_eq!(npmrc(&[], &[]), "");
        assert_eq!(
            npm_files(Some("/h".into()), None, Some("/usr".into())),
            ["/etc/npmrc", "/usr/etc/npmrc", "/h/.npmrc"]
        );
        assert_eq!(
            npm_files(None, Some("/u".into()), None),
            ["/etc/npmrc", "/u"]
        );
    }

    #[test]
    fn pip() {
        let site = "[global]\nindex-url = https://weak.example/simple\ncert = /etc/ca\n\
                    extra_index_url =\n    https://a.example\n    https://b.example\n\
                    [list]\nproxy = x\n"
            .to_owned();
        let user = "[install]\ntrusted-host: h.example\n[global]\nindex-url: https://i.example\n\
                    retries = 9 \n; timeout = 1\n"
            .to_owned();
        let environment = environment(&[("PIP_DEFAULT_TIMEOUT", "60"), ("PIP_CACHE_DIR", "/c")]);
        assert_eq!(
            pip_conf(&[site, user], &environment),
            "[global]\ndefault-timeout = 60\nextra-index-url = https://a.example\n    https://b.example\n\
             index-url = https://i.example\nretries = 9\ntrusted-host = h.example\n"
        );
        assert_eq!(pip_conf(&[], &[]), "");
        assert_eq!(
            pip_files(Some("/h".into()), None, Some("/dev/null".into())).len(),
            0
        );
        assert_eq!(
            pip_files(Some("/h".into()), None, Some("/f".into())),
            [
                "/etc/xdg/pip/pip.conf",
                "/etc/pip.conf",
                "/h/.pip/pip.conf",
                "/h/.config/pip/pip.conf",
                "/f"
            ]
        );
    }

    #[test]
    fn logins_are_known_where_they_are() {
        for (text, has) in [
            ("registry=https://r.example/\nstrict-ssl=false\n", false),
            ("//r.example/:_authToken=t\n", true),
            ("https-proxy=http://u:p@p.example:1\n", true),
            ("[global]\nindex-url = https://u:p@i.example/simple\n", true),
            (
                "[global]\nindex-url = https://i.example/simple/a@b\n",
                false,
            ),
            ("[registries.a]\ntoken = \"x\"\n", true),
            ("GOPROXY=https://a.example,https://u:p@b.example\n", true),
            ("GOPROXY=https://a.example,direct\n", false),
            (
                "[url \"https://u:t@m.example/\"]\n\tinsteadOf = \"https://a/\"\n",
                true,
            ),
            ("export https_proxy='http://u:p@p.example'\n", true),
        ] {
            assert_eq!(has_login(text), has, "{text}");
        }
        let found = Found {
            npm: vec!["//r.example/:_authToken=t\nregistry=https://r.example/\n".to_owned()],
            environment: environment(&[
                ("HTTPS_PROXY", "http://p.example"),
                ("HOME", "/h"),
                ("no_proxy", ""),
            ]),
            ..Found::default()
        };
        assert_eq!(
            found.variables(),
            environment(&[
                (
                    "FETCH_NPMRC",
                    "//r.example/:_authToken=t\nregistry=https://r.example/\n"
                ),
                ("https_proxy", "http://p.example"),
            ])
        );
        let (kept, left_out) = found.shared(false);
        assert_eq!((kept.len(), left_out), (5, vec!["npmrc"]));
        assert_eq!(found.shared(true).0.len(), 6);
    }

    #[test]
    fn go() {
        let settings = Settings::from([
            ("GOPROXY".to_owned(), "https://p.example,direct".to_owned()),
            ("GOPRIVATE".to_owned(), String::new()),
            ("GOFLAGS".to_owned(), "-x".to_owned()),
        ]);
        assert_eq!(go_env(&settings), "GOPROXY=https://p.example,direct\n");
    }

    #[test]
    fn cargos_tables() {
        let config = "\
[build]
jobs = 2
[source.crates-io]
replace-with = 'ours'
[source.ours]
registry = 'sparse+https://crates.example/'
[http]
proxy = 'p.example:80'
cainfo = '/home/me/ca.pem'

[target.x]
linker = 'lld'
";
        assert_eq!(
            cargo_toml(&[config.to_owned()]),
            "\
[source.crates-io]
replace-with = 'ours'
[source.ours]
registry = 'sparse+https://crates.example/'
[http]
proxy = 'p.example:80'
"
        );
        assert_eq!(cargo_toml(&[]), "");
    }

    #[test]
    fn proxies() {
        let environment = environment(&[
            ("https_proxy", "http://u:it's@p.example"),
            ("NO_PROXY", "localhost"),
            ("Http_Proxy", "x"),
            ("all_proxy", ""),
            ("HOME", "/h"),
        ]);
        assert_eq!(
            proxy_sh(&environment),
            "export NO_PROXY='localhost'\nexport https_proxy='http://u:it'\\''s@p.example'\n"
        );
    }

    #[test]
    fn gits_addresses() {
        let printed = "url.https://m.example/.insteadof\nhttps://a.example/\0\
                       url.https://u:t@m.example/\"\\.insteadof\nb \"q\" \\ # x\0\
                       url.https://m.example/.insteadof\ngh:\0\
                       url.git@m.example:.insteadof\nhttps://a.example/\0\
                       url./srv/mirror/.insteadof\nhttps://a.example/\0\
                       url.ext::sh -c x.insteadof\nhttps://a.example/\0\
                       url.https://n.example/.insteadof\na\nb\0\
                       url.https://n.example/.insteadof\0\
                       url.https://n.example/.pushinsteadof\na\0\
                       http.extraheader\nAuthorization: x\0";
        let expected = r#"[url "https://m.example/"]
	insteadOf = "https://a.example/"
[url "https://u:t@m.example/\"\\"]
	insteadOf = "b \"q\" \\ # x"
[url "https://m.example/"]
	insteadOf = "gh:"
"#;
        assert_eq!(gitconfig(printed), expected);
        assert_eq!(
            git_variables(printed),
            [(GIT_VARIABLE.to_owned(), expected.to_owned())]
        );
        assert_eq!(git_variables("url./x.insteadof\ny\0"), []);
    }

    /// What the command prints with this configuration of the user's.
    fn printed_by_git(config: &Utf8Path, variables: &[(&str, &str)]) -> String {
        let processes = Processes::new(false).unwrap();
        let [program, arguments @ ..] = git_command();
        let command = processes
            .cmd(program)
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", config)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs(variables.iter().copied());
        processes.capture(command).unwrap().stdout
    }

    #[test]
    fn git_says_which_addresses() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            files::write_atomically(&path, text.as_bytes(), 0o644).unwrap();
            path
        };
        write("included", "[URL \"git://i.example/\"]\n\tINSTEADOF = i:\n");
        let global = write(
            "global",
            "[credential]\n\thelper = !touch /tmp/x\n[url \"https://g.example/\"]\n\t\
             insteadOf = g:\n\tpushInsteadOf = p:\n[include]\n\tpath = included\n",
        );
        let other = write("other", "[url \"https://o.example/\"]\n\tinsteadOf = o:\n");
        let variables = [
            ("GIT_CONFIG", other.as_str()),
            ("GIT_CONFIG_COUNT", "2"),
            ("GIT_CONFIG_KEY_0", "url.https://v.example/.insteadOf"),
            ("GIT_CONFIG_VALUE_0", "v:"),
            ("GIT_CONFIG_KEY_1", "http.extraHeader"),
            ("GIT_CONFIG_VALUE_1", "X: y"),
        ];
        assert_eq!(
            printed_by_git(&global, &variables),
            "url.https://g.example/.insteadof\ng:\0url.git://i.example/.insteadof\ni:\0\
             url.https://v.example/.insteadof\nv:\0"
        );
        assert_eq!(printed_by_git("/dev/null".into(), &[]), "");
        // What is written is read back by git itself.
        let odd = "url.https://a.example/\"\\b]#;.insteadof\n \"x\" \\n # ; \0";
        assert_eq!(printed_by_git(&write("odd", &gitconfig(odd)), &[]), odd);
    }

    proptest! {
        #[test]
        fn gitconfig_has_a_line_for_each_setting(base in "[ -~äß]*", value in "[ -~äß]*") {
            let text = gitconfig(&format!("url.https://{base}.insteadof\n{value}\0"));
            let lines: Vec<&str> = text.lines().collect();
            prop_assert_eq!(lines.len(), 2);
            prop_assert!(lines[0].starts_with("[url \"https://") && lines[0].ends_with("\"]"));
            prop_assert!(lines[1].starts_with("\tinsteadOf = \"") && lines[1].ends_with('"'));
        }

        #[test]
        fn npmrc_reads_back(text in "((//h/:x|registry|@a:registry|cache)( ?)=( ?)[a-z${}]*\n)*") {
            let once = npmrc(&[text], &[]);
            prop_assert_eq!(npmrc(std::slice::from_ref(&once), &[]), once);
        }

        #[test]
        fn pip_conf_reads_back(text in "(\\[(global|install)\\]\n|(index-url|proxy|x) ?= ?[a-z ]*\n|  [a-z]+\n)*") {
            let once = pip_conf(&[text], &[]);
            prop_assert_eq!(pip_conf(std::slice::from_ref(&once), &[]), once);
        }
    }
}
