//! The live display, on a real terminal with real Nix.

use std::process::Command;

use test_support::common::{text, wait_until};
use test_support::harness::Harness;
use test_support::live::{ALL, harness, has_a_line_for_each};
use test_support::terminal::Terminal;

fn start(harness: &Harness, arguments: &[&str], rows: u16, columns: u16) -> Terminal {
    let command: Command = harness.command(arguments);
    Terminal::start(&command, rows, columns)
}

#[test]
fn running_builds_have_a_line_each() {
    has_a_line_for_each(start(&harness(), &ALL, 24, 100));
}

#[test]
fn a_window_that_changes_its_size() {
    let harness = harness();
    let mut terminal = start(&harness, &["one", "two"], 24, 100);
    wait_until("one runs alone", || {
        terminal.screen().contains("built   two")
    });
    terminal.resize(8, 30);
    wait_until("the display adapts", || {
        let screen = terminal.screen();
        screen.contains("built   two") && screen.lines().any(|line| line.starts_with("building 1"))
    });
    let screen = terminal.screen();
    assert_eq!(screen.matches("building 1").count(), 1, "{screen}");
    assert!(
        screen.lines().all(|line| line.chars().count() <= 30),
        "{screen}"
    );
    terminal.resize(24, 120);
    wait_until("the display adapts", || {
        terminal.screen().contains("buildPhase  tick")
    });
    let screen = terminal.screen();
    assert_eq!(screen.matches("building 1").count(), 1, "{screen}");
    assert_eq!(screen.matches("\none  ").count(), 1, "{screen}");
    assert_eq!(terminal.wait(), Some(0));
}

#[test]
fn plain_lines_where_nothing_can_be_drawn() {
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let harness = harness();
        let mut command = harness.command(&["two"]);
        command.env(name, value);
        let mut terminal = Terminal::start(&command, 24, 100);
        assert_eq!(terminal.wait(), Some(0));
        let said = text(&terminal.bytes());
        assert!(said.contains("two> [checkPhase]"), "{said}");
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
}

#[test]
fn quiet_and_verbose() {
    let harness = harness();
    let mut terminal = start(&harness, &["two", "bad", "-q", "--keep-going"], 50, 100);
    assert_eq!(terminal.wait(), Some(1));
    let said = text(&terminal.bytes());
    assert!(
        !said.contains("two> ") && !said.contains("building "),
        "{said}"
    );
    let is_row = |line: &str| line.starts_with("two ") && line.contains(" built ");
    assert!(said.lines().any(is_row), "{said}");
    assert!(said.contains("  | oops"), "{said}");

    let mut terminal = start(&harness, &["one", "-v"], 50, 100);
    assert_eq!(terminal.wait(), Some(0));
    let said = terminal.screen();
    assert!(said.contains("one> tick 80\n"), "{said}");
}

#[test]
fn ctrl_c_on_the_terminal() {
    let harness = Harness::new(r#"slow = sh "slow" { } (phase "buildPhase" + "sleep 1000");"#);
    let mut terminal = start(&harness, &["slow"], 24, 100);
    wait_until("it builds", || terminal.screen().contains("buildPhase"));
    terminal.type_keys(b"\x03");
    assert_eq!(terminal.wait(), Some(130));
    let screen = terminal.screen();
    assert!(
        screen.contains("interrupted by SIGINT while building slow (buildPhase)"),
        "{screen}"
    );
    assert!(!screen.contains("building 1"), "{screen}");
}
