//! Versions as Semantic Versioning 2.0.0 has them: <https://semver.org>.

/// Whether a text is a version: `MAJOR.MINOR.PATCH`, then `-PRERELEASE` and `+BUILD` if there are such.
pub fn is_version(text: &str) -> bool {
    let (text, build) = match text.split_once('+') {
        Some((text, build)) => (text, Some(build)),
        None => (text, None),
    };
    let (core, prerelease) = match text.split_once('-') {
        Some((core, prerelease)) => (core, Some(prerelease)),
        None => (text, None),
    };
    core.split('.').count() == 3
        && core.split('.').all(is_numeric)
        && prerelease.is_none_or(|it| {
            it.split('.')
                .all(|part| is_identifier(part) && (!is_digits(part) || is_numeric(part)))
        })
        && build.is_none_or(|it| it.split('.').all(is_identifier))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Digits without a leading zero.
fn is_numeric(text: &str) -> bool {
    is_digits(text) && (text == "0" || !text.starts_with('0'))
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::is_version;

    #[test]
    fn versions() {
        for text in [
            "0.0.4",
            "1.2.3",
            "10.20.30",
            "2026.2.0",
            "2026.2.0-rc1",
            "2026.2.0-rc1-1770744803",
            "1.1.2-prerelease+meta",
            "1.1.2+meta",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha0.valid",
            "1.0.0-alpha-a.b-c-somethinglong+build.1-aef.1-its-okay",
            "1.0.0-0A.is.legal",
            "1.2.3----RC-SNAPSHOT.12.9.1--.12",
            "1.0.0+0.build.1-rc.10000aaa-kk-0.1",
            "99999999999999999999999.999999999999999999.99999999999999999",
        ] {
            assert!(is_version(text), "{text}");
        }
        for text in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "01.1.1",
            "1.01.1",
            "1.1.01",
            "1.2.3-0123",
            "1.2.3-0123.0123",
            "1.1.2+.123",
            "+invalid",
            "-invalid",
            "alpha",
            "1.2.3-",
            "1.2.3+",
            "1.2.3-a..b",
            "v1.2.3",
            "1.2.3 ",
            " 1.2.3",
            "1.2.3-é",
            "1.2.3+a+b",
            "-1.0.3",
            "1.2.-3",
            "1.2.3\n",
            "1.2.3\"",
        ] {
            assert!(!is_version(text), "{text}");
        }
    }
}
