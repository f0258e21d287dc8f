//! `update --on HOST`: hashes that only another machine can find.

use test_support::common::{run, text};
use test_support::far::Far;
use test_support::upstream::{OTHER, Upstream};

#[test]
fn hashes_of_another_machine_are_found_there() {
    let Some(far) = Far::start_with(&["FAR=1"], "") else {
        return;
    };
    let upstream = Upstream::with(&[(
        r#"deps = pin [ "deps" "at" "here" ] (fixed "deps" json.deps.at.here"#,
        r#"at = if builtins.getEnv "FAR" == "" then "here" else "there";
           deps = pin [ "deps" "at" at ] (fixed "deps-${at}" (json.deps.at.${at} or wrong)"#,
    )]);
    let mut value = upstream.value();
    value["deps"]["at"]["there"] = OTHER.into();
    let pins = upstream.root().join("containers/authentik/pins.json");
    std::fs::write(&pins, serde_json::to_string_pretty(&value).unwrap()).unwrap();
    let update = |host: &str| {
        let mut command = upstream.command(&["--on", host, "--json"]);
        command.env("NIX_SSHOPTS", format!("-F {}/config", far.path()));
        let output = run(command.env("USER", "somebody"));
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    // A machine that is not there: what was found here is kept.
    let before = upstream.pins();
    let (code, _, said) = update("nobody@127.0.0.1");
    assert_eq!((code, upstream.pins()), (Some(2), before), "{said}");
    assert!(upstream.journal().contains(&"deps/at/here".to_owned()));
    let (code, out, said) = update("dasher");
    assert_eq!(code, Some(0), "{said}");
    let states = Upstream::states(&out);
    let state = |pin: &str| states.iter().find(|it| it.0 == pin).unwrap().1.clone();
    assert_eq!(state("deps.at.there"), "changed", "{said}");
    let value = upstream.value();
    assert_eq!(value["deps"]["at"]["there"], value["deps"]["at"]["here"]);
    assert_eq!(value["version"], "1.0.1");
    upstream.is_right();
}
