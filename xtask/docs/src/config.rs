//! `docs-check.toml`: the settings of a vault.

use std::collections::HashSet;

use anyhow::{Context as _, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use sys::files::normalized;
use sys::inside::read_text;
use vault::finding::{Code, Level};
use vault::rules::settings::{Resolve, Rules};

/// The file's name.
const NAME: &str = "docs-check.toml";
/// How many bytes it may have.
const LARGEST: u64 = 1 << 20;

/// The settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// The settings of the rules.
    pub rules: Rules,
    /// Files outside of the vault that are checked as well, by their paths in the repository.
    pub also: Vec<Utf8PathBuf>,
    /// Patterns of paths in the vault in which nothing is reported.
    pub exclude: Vec<String>,
    /// Whether nothing is reported in files that git ignores.
    pub gitignore: bool,
    /// Whether the file says by which program's rules links are followed.
    says_resolve: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rules: Rules::of_links(),
            also: Vec::new(),
            exclude: Vec::new(),
            gitignore: true,
            says_resolve: false,
        }
    }
}

/// Where a vault's file may be, the first choice first.
pub fn places(root: &Utf8Path) -> Vec<Utf8PathBuf> {
    let is_root = |folder: &Utf8Path| folder.join(".git").exists();
    // Outside of a repository only the vault's own folder counts.
    let above = root.ancestors().position(is_root).unwrap_or(0);
    let folders = root.ancestors().take(above + 1);
    folders.map(|folder| folder.join(NAME)).collect()
}

impl Config {
    /// The settings of a vault.
    pub fn of_vault(root: &Utf8Path) -> Result<Self> {
        let config = match places(root).iter().find(|path| path.is_file()) {
            Some(path) => Self::read(path)?,
            None => Self::default(),
        };
        Ok(config.for_vault(root))
    }

    /// With links followed as the program does whose settings are in the vault's folder or above it, unless the file
    /// says how.
    pub fn for_vault(mut self, root: &Utf8Path) -> Self {
        if !self.says_resolve && self.rules.resolve == Resolve::Either {
            let places = places(root);
            let has = |name: &str| {
                let mut folders = places.iter().filter_map(|path| path.parent());
                folders.any(|folder| folder.join(name).exists())
            };
            self.rules.resolve = match (has(".obsidian"), has("quartz.config.ts")) {
                (true, false) => Resolve::Obsidian,
                (false, true) => Resolve::Quartz,
                _ => Resolve::Either,
            };
        }
        self
    }

    /// Whether nothing is reported in a file; `ignored` are the files and folders that git ignores.
    pub fn excludes(&self, path: &Utf8Path, ignored: &HashSet<Utf8PathBuf>) -> bool {
        let mut patterns = self.exclude.iter();
        patterns.any(|pattern| fast_glob::glob_match(pattern, path.as_str()))
            || path.ancestors().any(|path| ignored.contains(path))
    }

    /// The settings in a file.
    fn read(path: &Utf8Path) -> Result<Self> {
        Self::of_text(&read_text(path, LARGEST)?, path)
    }

    /// The settings in the text of a file.
    pub fn of_text(text: &str, path: &Utf8Path) -> Result<Self> {
        parse(text).with_context(|| format!("reading `{path}`"))
    }
}

/// Settings from TOML: lists of words, and `true` or `false`.
fn parse(text: &str) -> Result<Config> {
    let line = |at: usize| 1 + text[..at.min(text.len())].matches('\n').count();
    let parsed = toml_span::parse(text)
        .map_err(|error| anyhow!("line {}: {error}", line(error.span.start)))?;
    let mut config = Config::default();
    let table = parsed.as_table();
    match table.and_then(|table| table.get("preset")) {
        None => {}
        Some(preset) => match preset.as_str() {
            Some("links") => {}
            Some("diataxis") => config.rules = Rules::of_diataxis(),
            _ => bail!(
                "line {}: `preset` is `\"links\"` or `\"diataxis\"`",
                line(preset.span.start)
            ),
        },
    }
    let rules = &mut config.rules;
    // The levels of codes count last.
    let mut levels = Vec::new();
    for (key, value) in table.into_iter().flatten() {
        let line = line(key.span.start);
        let words = || -> Result<Vec<String>> {
            let words = value.as_array().into_iter().flatten();
            let words: Option<Vec<String>> =
                words.map(|word| Some(word.as_str()?.to_owned())).collect();
            words
                .filter(|_| value.as_array().is_some())
                .with_context(|| format!("line {line}: `{}` is a list of words", key.name))
        };
        match &*key.name {
            "preset" => {}
            "resolve" => {
                config.says_resolve = true;
                rules.resolve = match value.as_str() {
                    Some("obsidian") => Resolve::Obsidian,
                    Some("quartz") => Resolve::Quartz,
                    Some("both") => Resolve::Both,
                    Some("either") => Resolve::Either,
                    _ => bail!(
                        "line {line}: `resolve` is `\"obsidian\"`, `\"quartz\"`, `\"both\"` or `\"either\"`"
                    ),
                };
            }
            // A setting of a rule switches the rule on.
            "required" => {
                rules.required = words()?;
                on(rules, &[Code::KeyMissing, Code::FrontMatterMissing]);
            }
            "tags" => {
                rules.tags = words()?;
                on(rules, &[Code::TagUnknown]);
            }
            "how-to-only" => {
                rules.how_to_only = words()?;
                on(rules, &[Code::KeyMisplaced]);
            }
            "categories" => {
                rules.categories = words()?;
                on(
                    rules,
                    &[Code::LandingMissing, Code::NotListed, Code::CategoryDiffers],
                );
            }
            "unpublished" => rules.unpublished = words()?,
            "exclude" => config.exclude = words()?,
            "gitignore" => {
                config.gitignore = value
                    .as_bool()
                    .with_context(|| format!("line {line}: `gitignore` is `true` or `false`"))?;
            }
            "codes" => {
                let table = value.as_table();
                let table = table.with_context(|| format!("line {line}: `codes` is a table"))?;
                for (name, level) in table {
                    let code = code(&name.name, line)?;
                    let level = match level.as_str() {
                        Some("error") => Level::Error,
                        Some("warning") => Level::Warning,
                        Some("off") => Level::Off,
                        _ => bail!(
                            "line {line}: `{}` is `\"error\"`, `\"warning\"` or `\"off\"`",
                            name.name
                        ),
                    };
                    levels.push((code, level));
                }
            }
            "off" => {
                for name in words()? {
                    // What `codes` says of one comes after it.
                    levels.insert(0, (code(&name, line)?, Level::Off));
                }
            }
            "title-is-heading" => {
                rules.title_is_heading = value.as_bool().with_context(|| {
                    format!("line {line}: `title-is-heading` is `true` or `false`")
                })?;
                on(rules, &[Code::TitleDiffers]);
            }
            "also" => {
                config.also = words()?.into_iter().map(normalized).collect();
                let is_below = |path: &Utf8PathBuf| path.is_relative() && !path.starts_with("..");
                if let Some(path) = config.also.iter().find(|path| !is_below(path)) {
                    bail!("line {line}: `{path}` is outside of the repository");
                }
            }
            other => bail!(
                "line {line}: unknown key `{other}`: the keys are `preset`, `resolve`, `codes`, `off`, `exclude`, \
                 `gitignore`, `also`, `required`, `tags`, `how-to-only`, `categories`, `title-is-heading` and \
                 `unpublished`"
            ),
        }
    }
    for (code, level) in levels {
        rules.levels.set(code, level);
    }
    Ok(config)
}

/// Makes codes errors.
fn on(rules: &mut Rules, codes: &[Code]) {
    for code in codes {
        rules.levels.set(*code, Level::Error);
    }
}

/// The code of a name.
fn code(name: &str, line: usize) -> Result<Code> {
    let code = Code::ALL.iter().find(|code| code.name() == name);
    code.copied()
        .with_context(|| format!("line {line}: there is no code `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_from_toml() {
        let text = "tags = ['a', \"b\"] # c\ntitle-is-heading = true\noff = [\n  'orphan',\n]\n";
        let rules = parse(text).unwrap().rules;
        assert_eq!((rules.tags.len(), rules.title_is_heading), (2, true));
        assert_eq!(rules.levels.of(Code::Orphan), Level::Off);
        assert_eq!(rules.levels.of(Code::TagUnknown), Level::Error);
        assert_eq!(rules.levels.of(Code::KeyMissing), Level::Off);
        let text = "preset = 'diataxis'\nresolve = 'quartz'\noff = ['orphan']\nexclude = ['x/**']\n\
                    [codes]\norphan = 'warning'\nlink-case = 'off'\n";
        let config = parse(text).unwrap();
        let level = |code| config.rules.levels.of(code);
        assert_eq!(config.rules.resolve, Resolve::Quartz);
        assert_eq!(config.exclude, ["x/**"]);
        assert_eq!(
            [
                level(Code::Orphan),
                level(Code::LinkCase),
                level(Code::KeyMissing)
            ],
            [Level::Warning, Level::Off, Level::Error]
        );
        assert_eq!(parse("").unwrap(), Config::default());
        let also = parse("also = ['./README.md', 'a/b.md']").unwrap().also;
        assert_eq!(also, ["README.md", "a/b.md"]);
        for (text, error) in [
            ("tgs = ['a']", "line 1: unknown key `tgs`"),
            (
                "\noff = ['nonsense']",
                "line 2: there is no code `nonsense`",
            ),
            (
                "title-is-heading = 'maybe'",
                "line 1: `title-is-heading` is `true`",
            ),
            ("preset = 'x'", "line 1: `preset` is `\"links\"`"),
            ("\nresolve = 1", "line 2: `resolve` is"),
            ("[codes]\nlink-case = 'no'", "`link-case` is `\"error\"`"),
            ("[codes]\nx = 'off'", "there is no code `x`"),
            ("tags = 'a'", "line 1: `tags` is a list of words"),
            ("tags = [1]", "line 1: `tags` is a list of words"),
            ("\ntags = [", "line 2: "),
            ("also = ['../x.md']", "line 1: `../x.md` is outside"),
        ] {
            let found = parse(text).unwrap_err().to_string();
            assert!(found.contains(error), "{found}");
        }
    }
}
