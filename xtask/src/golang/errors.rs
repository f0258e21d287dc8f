//! What Go says when it can't fetch modules, told shortly: the reason, Go's own words, what to do.

/// How many of Go's last lines are shown.
const LINES: usize = 20;

/// What to do about a module that nobody gives.
const PRIVATE: &str = "a private one needs its host in GOPRIVATE (Go then asks its repository, without the proxy and \
                       the checksum database) and a login that git finds without asking; one that the proxy \
                       refuses needs another proxy in GOPROXY";

/// A reason that Go's words stand for, and what to do about it. The first that fits counts.
const REASONS: [(&[&str], &str, &str); 11] = [
    (
        &["checksum mismatch", "SECURITY ERROR"],
        "a module's content is not what its checksum says",
        "somebody may have tampered with the module, with the proxy or with go.sum: don't delete the \
         line to be rid of the error; find out first which of them is wrong",
    ),
    (
        &["malformed go.sum", "wrong number of fields"],
        "go.sum is corrupt",
        "restore it from the repository; Go writes it, people don't",
    ),
    (
        &["missing go.sum entry", "updates to go.mod needed"],
        "go.mod or go.sum lacks what the module imports",
        "`go mod tidy` in the module's folder adds it; buildGoModule fails over it, too",
    ),
    (
        &["no space left on device", "disk quota exceeded"],
        "the disk is full",
        "the copies of the modules lie in TMPDIR while they are hashed: make room, or set TMPDIR to a \
         folder on another disk; `--shared-cache` needs less",
    ),
    (
        &[
            "terminal prompts disabled",
            "could not read Username",
            "Permission denied (publickey",
            "Host key verification failed",
            "Authentication failed",
        ],
        "a module's repository asks for a login",
        "nobody can answer there: put the login where git finds it without asking, or its host into \
         GOPRIVATE and a proxy that has it into GOPROXY; a build in Nix's sandbox can't log in either",
    ),
    (
        &[
            "\": executable file not found in $PATH",
            "executable file not found in",
        ],
        "a version control system that a module comes from is not there",
        "install it, or use a proxy that has the module (GOPROXY)",
    ),
    (
        &[
            "invalid character",
            "not a valid zip file",
            "unexpected end of JSON",
            "malformed module",
            "invalid go.mod",
            "parsing go.mod",
        ],
        "what the module proxy answers is no module",
        "it may be a login page or the error page of a proxy in between: look at what GOPROXY names",
    ),
    (
        &["unrecognized import path", "protocol found for repository"],
        "no repository answers where a module's path points",
        PRIVATE,
    ),
    (
        &[
            "connection refused",
            "no such host",
            "i/o timeout",
            "network is unreachable",
            "connection reset",
            "TLS handshake timeout",
            "Could not resolve host",
            "Failed to connect",
            "Temporary failure in name resolution",
            "certificate signed by unknown authority",
        ],
        "the network can't be reached",
        "Go asks where GOPROXY, GOSUMDB and the proxy variables say (`go env`); modules that Go's own \
         cache has are taken from there with `--shared-cache`",
    ),
    (
        &["module lookup disabled by GOPROXY=off"],
        "a module is not in the cache, and GOPROXY=off forbids to fetch it",
        "set GOPROXY, for example by `go env -w GOPROXY=...`",
    ),
    (
        &[
            "403 Forbidden",
            "404 Not Found",
            "410 Gone",
            "401 Unauthorized",
            "unknown revision",
            "repository not found",
            "Repository not found",
        ],
        "a module can't be had from where Go looks for it",
        PRIVATE,
    ),
];

/// An error for people: `said` is what Go printed, `summary` how it ended.
pub fn tell(said: &str, summary: &str, version: &str, program: &str) -> String {
    if let Some((what, needed)) = needs_newer(said) {
        return too_old(what, needed, version, program);
    }
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| !line.starts_with("go: downloading "))
        .collect();
    let shown: String = lines[lines.len().saturating_sub(LINES)..]
        .iter()
        .map(|line| format!("\n  | {line}"))
        .collect();
    let fits =
        |(words, _, _): &&(&[&str], &str, &str)| words.iter().any(|word| said.contains(word));
    match REASONS.iter().find(fits) {
        Some((_, reason, remedy)) => format!("{reason}: {summary}{shown}\n{remedy}"),
        None => format!("{summary}{shown}"),
    }
}

/// The error of a Go that is too old; `what` asks for the version `needed`.
pub fn too_old(what: &str, needed: &str, version: &str, program: &str) -> String {
    format!(
        "{what} needs Go {needed} or later, and `{program}` is Go {version}: give a newer one by `--go PATH`; \
         none is fetched (GOTOOLCHAIN=local), in buildGoModule neither"
    )
}

/// Who needs which newer Go, if that is what Go says (`gover.TooNewError` in Go's source).
fn needs_newer(said: &str) -> Option<(&str, &str)> {
    said.lines().find_map(|line| {
        let (what, rest) = line.split_once(" requires go >= ")?;
        let needed = rest.split([' ', ';']).next()?;
        // What stands before it may be the modules that led there.
        let what = what.rsplit(": ").next().unwrap_or(what);
        rest.contains("running go").then_some((what, needed))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(said: &str) -> String {
        tell(said, "`go mod vendor` failed", "1.25.5", "go")
    }

    #[test]
    fn a_newer_go() {
        for (said, part) in [
            (
                "go: go.mod requires go >= 1.99 (running go 1.26.8; GOTOOLCHAIN=local)",
                "go.mod needs Go 1.99 or later, and `go` is Go 1.25.5",
            ),
            (
                "go: example.com/a imports\n\tx: rsc.io/b@v1.0.0 requires go >= 1.30.1 (running go 1.26.8; GOTOOLCHAIN=local)",
                "rsc.io/b@v1.0.0 needs Go 1.30.1",
            ),
        ] {
            assert!(told(said).starts_with(part), "{}", told(said));
        }
    }

    // Go 1.25 and 1.26.
    #[test]
    fn reasons() {
        for (said, reason) in [
            (
                "verifying github.com/google/uuid@v1.6.0: checksum mismatch\n\tdownloaded: h1:a\n\tgo.sum:     h1:b\n\nSECURITY ERROR",
                "a module's content is not",
            ),
            (
                "go: malformed go.sum:\nsource/go.sum:1: wrong number of fields 1",
                "go.sum is corrupt",
            ),
            (
                "go: x@v1: Get \"http://127.0.0.1:1/x\": dial tcp 127.0.0.1:1: connect: connection refused",
                "the network can't be reached",
            ),
            (
                "go: x@v1: invalid character '<' looking for beginning of value",
                "what the module proxy answers",
            ),
            (
                "go: x: y@v1: missing go.sum entry for go.mod file; to add it:",
                "go.mod or go.sum lacks what",
            ),
            ("write /t/x: no space left on device", "the disk is full"),
            (
                "fatal: could not read Username for 'https://h.example': terminal prompts disabled",
                "a module's repository asks for a login",
            ),
            (
                "go: x@v1: reading https://p.example/x/@v/v1.mod: 404 Not Found",
                "a module can't be had",
            ),
        ] {
            let text = told(said);
            assert!(text.starts_with(reason), "{text}");
            assert!(
                text.contains(&format!("  | {}", said.lines().next().unwrap())),
                "{text}"
            );
        }
    }

    #[test]
    fn unknown_words_are_passed_on() {
        let said = "go: downloading a v1\nsomething new";
        assert_eq!(told(said), "`go mod vendor` failed\n  | something new");
    }
}
