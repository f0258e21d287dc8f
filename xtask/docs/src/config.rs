//! `docs-check.toml`: the settings of a vault.

use anyhow::{Context as _, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use sys::files::normalized;
use sys::inside::read_text;
use vault::finding::Code;
use vault::rules::settings::Rules;

/// The file's name.
const NAME: &str = "docs-check.toml";
/// How many bytes it may have.
const LARGEST: u64 = 1 << 20;

/// The settings.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The settings of the rules.
    pub rules: Rules,
    /// Files outside of the vault that are checked as well, by their paths in the repository.
    pub also: Vec<Utf8PathBuf>,
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
        match places(root).iter().find(|path| path.is_file()) {
            Some(path) => Self::read(path),
            None => Ok(Self::default()),
        }
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
    let rules = &mut config.rules;
    for (key, value) in parsed.as_table().into_iter().flatten() {
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
            "required" => rules.required = words()?,
            "tags" => rules.tags = words()?,
            "how-to-only" => rules.how_to_only = words()?,
            "categories" => rules.categories = words()?,
            "unpublished" => rules.unpublished = words()?,
            "off" => {
                rules.off = words()?;
                let known = |name: &String| Code::ALL.iter().any(|code| code.name() == name);
                if let Some(unknown) = rules.off.iter().find(|name| !known(name)) {
                    bail!("line {line}: there is no code `{unknown}`");
                }
            }
            "title-is-heading" => {
                rules.title_is_heading = value.as_bool().with_context(|| {
                    format!("line {line}: `title-is-heading` is `true` or `false`")
                })?;
            }
            "also" => {
                config.also = words()?.into_iter().map(normalized).collect();
                let is_below = |path: &Utf8PathBuf| path.is_relative() && !path.starts_with("..");
                if let Some(path) = config.also.iter().find(|path| !is_below(path)) {
                    bail!("line {line}: `{path}` is outside of the repository");
                }
            }
            other => bail!(
                "line {line}: unknown key `{other}`: the keys are `required`, `tags`, `how-to-only`, \
                 `categories`, `title-is-heading`, `unpublished`, `off` and `also`"
            ),
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_from_toml() {
        let text = "tags = ['a', \"b\"] # c\ntitle-is-heading = true\noff = [\n  'orphan',\n]\n";
        let rules = parse(text).unwrap().rules;
        assert_eq!((rules.tags.len(), rules.title_is_heading), (2, true));
        assert_eq!(rules.off, ["orphan"]);
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
