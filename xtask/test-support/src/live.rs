//! A build on a terminal whose display is followed, here or on another machine.

use crate::common::text;
use crate::harness::Harness;
use crate::terminal::Terminal;

/// What builds them all.
pub const ALL: [&str; 4] = ["one", "two", "bad", "--keep-going"];

/// Two components that go on as long as a file is there, and one that fails.
pub fn harness() -> Harness {
    Harness::new(
        r#"
  one = sh "one" { } (phase "buildPhase" + "echo first line; for n in {1..80}; do echo tick $n; sleep 0.05; done; echo > $out");
  two = sh "two" { } (phase "checkPhase" + "sleep 0.3; echo > $out");
  bad = sh "bad" { } (phase "installPhase" + "echo oops; exit 3");
"#,
    )
}

/// Follows a build of all three.
pub fn has_a_line_for_each(mut terminal: Terminal) {
    let code = terminal.wait();
    let screens = terminal.screens();
    let any = |parts: &[&str]| {
        let holds = |screen: &&String| parts.iter().all(|part| screen.contains(part));
        assert!(
            screens.iter().any(|screen| holds(&screen)),
            "no screen with {parts:?}:\n{}",
            screens.join("\n-----\n")
        );
    };
    // One line with name, phase and last line of the builder; a total; what ended above.
    any(&["\none  ", "  buildPhase  tick ", "\nbuilding 2, "]);
    any(&["built   two  ", "\none  ", "\nbuilding 1, "]);
    any(&[
        "failed  bad  ",
        ", in installPhase\n",
        "\nbuilding 1, 1 built of 3, 1 failed; ",
    ]);
    let last = terminal.screen();
    assert_eq!(code, Some(1), "{last}");
    assert!(last.contains("built   one  "), "{last}");
    assert!(last.contains("failed  bad  "), "{last}");
    assert!(
        last.contains("bad in installPhase: failed with exit code 3\n  | oops"),
        "{last}"
    );
    // The live lines are gone, and the builders' lines never stayed.
    assert!(!last.contains("building "), "{last}");
    assert!(!last.contains("tick 7\n"), "{last}");
    // Nothing that clears the screen, which would flicker.
    let bytes = text(&terminal.bytes());
    assert!(!bytes.contains("\u{1b}[2J") && !bytes.contains("\u{1b}[H"));
}
