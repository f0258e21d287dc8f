//! Findings as text, JSON, SARIF and workflow commands.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;
use sys::files::normalized;
use sys::printable::printable;
use sys::terminal;
use vault::finding::{Code, Finding, Level, Levels};
use vault::slug::percent_encoded;

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A human-readable line for each
    Text,
    /// A JSON line for each
    Json,
    /// One SARIF document
    Sarif,
    /// Workflow commands, which forges show next to the lines
    Github,
}

/// Prints findings; `folder` is that of the vault.
pub fn print(
    format: Format,
    folder: &Utf8Path,
    findings: &[Finding],
    levels: &Levels,
) -> Result<()> {
    if format == Format::Sarif {
        return terminal::emit(&sarif(folder, findings, levels));
    }
    let mut text = String::new();
    for finding in findings {
        let line = match format {
            Format::Text | Format::Sarif => text_line(folder, finding, levels),
            Format::Json => json_line(folder, finding, levels),
            Format::Github => github_line(folder, finding, levels),
        };
        text.push_str(&line);
        text.push('\n');
    }
    if text.is_empty() {
        return Ok(());
    }
    terminal::emit(text.trim_end())
}

fn text_line(folder: &Utf8Path, finding: &Finding, levels: &Levels) -> String {
    let warning = match levels.of(finding.code) {
        Level::Warning => "warning: ",
        Level::Error | Level::Off => "",
    };
    format!(
        "{}:{}: {warning}{}: {}; {}",
        printable(path(folder, finding).as_str()),
        finding.place,
        finding.code.name(),
        printable(&finding.message),
        finding.code.remedy()
    )
}

fn json_line(folder: &Utf8Path, finding: &Finding, levels: &Levels) -> String {
    json!({
        "path": path(folder, finding),
        "line": finding.place.line,
        "column": finding.place.column,
        "code": finding.code.name(),
        "severity": levels.of(finding.code).name(),
        "message": finding.message,
    })
    .to_string()
}

fn github_line(folder: &Utf8Path, finding: &Finding, levels: &Levels) -> String {
    // What a command shows is in a log as well, and in a log nothing may act.
    let escaped = |text: &str| printable(text).replace('%', "%25");
    let property = |text: &str| escaped(text).replace(':', "%3A").replace(',', "%2C");
    let level = levels.of(finding.code).name();
    format!(
        "::{level} file={},line={},col={},title={}::{}; {}",
        property(path(folder, finding).as_str()),
        finding.place.line,
        finding.place.column,
        finding.code.name(),
        escaped(&finding.message),
        escaped(finding.code.remedy())
    )
}

/// A path as a reference of a URI.
fn uri(path: &Utf8Path) -> String {
    percent_encoded(path.as_str(), |_, c| {
        c.is_ascii_alphanumeric() || "/-._~".contains(c)
    })
}

/// The path of a finding as it is shown; `folder` is that of the vault.
fn path(folder: &Utf8Path, finding: &Finding) -> Utf8PathBuf {
    normalized(folder.join(&finding.path))
}

/// A SARIF 2.1.0 log.
fn sarif(folder: &Utf8Path, findings: &[Finding], levels: &Levels) -> String {
    // SARIF's word for what is off is another one.
    let level = |code| match levels.of(code) {
        Level::Off => "none",
        other => other.name(),
    };
    let rules: Vec<_> = Code::ALL
        .iter()
        .map(|code| {
            json!({
                "id": code.name(),
                "shortDescription": { "text": code.summary().trim() },
                "help": { "text": code.remedy() },
                "defaultConfiguration": { "level": level(*code) },
            })
        })
        .collect();
    let results: Vec<_> = findings
        .iter()
        .map(|finding| {
            json!({
                "ruleId": finding.code.name(),
                "level": level(finding.code),
                "message": { "text": format!("{}; {}", finding.message, finding.code.remedy()) },
                "locations": [{ "physicalLocation": {
                    "artifactLocation": { "uri": uri(&path(folder, finding)) },
                    "region": {
                        "startLine": finding.place.line,
                        "startColumn": finding.place.column,
                    },
                } }],
            })
        })
        .collect();
    json!({
        "version": "2.1.0",
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "runs": [{
            "tool": { "driver": { "name": "cargo xtask docs-check", "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use vault::place::Place;

    use super::*;

    #[test]
    fn paths_in_sarif_are_references() {
        assert_eq!(
            uri(Utf8Path::new("docs/a b%é.md")),
            "docs/a%20b%25%C3%A9.md"
        );
    }

    #[test]
    fn one_finding_in_each_format() {
        let finding = Finding {
            path: "a.md".into(),
            place: Place::new(3, 4),
            code: Code::LinkUnknown,
            message: "there is no card `x, 50 %`".to_owned(),
            fix: None,
        };
        let folder = Utf8Path::new("docs");
        let remedy = Code::LinkUnknown.remedy();
        assert_eq!(
            text_line(folder, &finding, &Levels::all()),
            format!("docs/a.md:3:4: link-unknown: there is no card `x, 50 %`; {remedy}")
        );
        assert_eq!(
            github_line(folder, &finding, &Levels::all()),
            format!(
                "::error file=docs/a.md,line=3,col=4,title=link-unknown::there is no card `x, 50 %25`; {remedy}"
            )
        );
        let line: serde_json::Value =
            serde_json::from_str(&json_line(folder, &finding, &Levels::all())).unwrap();
        assert_eq!(
            (&line["line"], &line["code"], &line["severity"]),
            (&json!(3), &json!("link-unknown"), &json!("error"))
        );
        let log: serde_json::Value =
            serde_json::from_str(&sarif(folder, &[finding], &Levels::all())).unwrap();
        assert_eq!(log["runs"][0]["results"][0]["ruleId"], "link-unknown");
    }
}
