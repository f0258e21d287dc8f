//! A run as JUnit XML, which forges show beside a change.
//!
//! There is no standard; the schema that forges go by is that of Jenkins' xUnit plugin
//! (`junit-10.xsd`): a test suite of test cases, each with a time in seconds and, at most, one `failure`
//! or `skipped`.

use std::fmt::Write as _;

use crate::build::model::{Row, State};

/// The document; `failure` knows what the report says of a row that failed, by its derivation.
pub fn render<'a>(rows: &[Row], failure: impl Fn(&Row) -> &'a str) -> String {
    let count = |wanted: fn(State) -> bool| rows.iter().filter(|row| wanted(row.state)).count();
    let failed = |state| matches!(state, State::Failed | State::HashMismatch);
    let total: f64 = rows.iter().map(|row| row.seconds).sum();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let attributes = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{total:.3}\"",
        rows.len(),
        count(failed),
        count(|state| state == State::Skipped),
    );
    // Writing to a String does not fail.
    let _ = writeln!(text, "<testsuites {attributes}>");
    let _ = writeln!(text, "  <testsuite name=\"test-build\" {attributes}>");
    for row in rows {
        let (class, name) = match row.label.split_once(".tests.") {
            Some((component, test)) => (component, test),
            None => (row.label.as_str(), "build"),
        };
        let _ = write!(
            text,
            "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
            escaped(class),
            escaped(name),
            row.seconds
        );
        let body = match row.state {
            State::Built | State::Cached => String::new(),
            State::Skipped => "      <skipped/>\n".to_owned(),
            State::Failed | State::HashMismatch => format!(
                "      <failure type=\"{}\" message=\"{}\">{}</failure>\n",
                row.state,
                escaped(&row.note),
                escaped(failure(row))
            ),
        };
        if body.is_empty() {
            text.push_str("/>\n");
        } else {
            let _ = write!(text, ">\n{body}    </testcase>\n");
        }
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

/// Text for an element or an attribute; characters that XML 1.0 can't hold are left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            '\u{fffe}' | '\u{ffff}' => {}
            _ if character.is_control() => {}
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_its_element() {
        let row = |label: &str, state, seconds, note: &str| Row {
            container: "app".to_owned(),
            component: String::new(),
            label: label.to_owned(),
            host: None,
            state,
            drv: "/d".to_owned(),
            out: None,
            seconds,
            phases: vec![],
            note: note.to_owned(),
            culprit: None,
        };
        let rows = [
            row("a", State::Built, 1.5, ""),
            row("a.tests.go", State::Failed, 0.25, "failed \"so\""),
            row("b", State::Skipped, 0.0, ""),
        ];
        assert_eq!(
            render(&rows, |_| "1 < 2 & \u{1b}[31m3\n"),
            r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="3" failures="1" errors="0" skipped="1" time="1.750">
  <testsuite name="test-build" tests="3" failures="1" errors="0" skipped="1" time="1.750">
    <testcase classname="a" name="build" time="1.500"/>
    <testcase classname="a" name="go" time="0.250">
      <failure type="failed" message="failed &quot;so&quot;">1 &lt; 2 &amp; [31m3
</failure>
    </testcase>
    <testcase classname="b" name="build" time="0.000">
      <skipped/>
    </testcase>
  </testsuite>
</testsuites>
"#
        );
    }
}
