//! What a relocatable Python venv needs: no interpreter's place in `pyvenv.cfg`.

/// The name of the file that makes a folder a venv.
pub const CONFIG: &str = "pyvenv.cfg";
/// What replaces the interpreter's prefix.
pub const MARK: &str = "@python@";

/// The settings that hold a path of the interpreter (`venv/__init__.py` of Python, uv, virtualenv).
const SETTINGS: [&str; 6] = [
    "home",
    "executable",
    "command",
    "base-prefix",
    "base-exec-prefix",
    "base-executable",
];

/// `pyvenv.cfg` with the mark in place of the interpreter's prefix, or `None` if there is nothing to
/// replace. The prefix is the folder that holds the one that `home` names.
pub fn mark(config: &[u8]) -> Option<Vec<u8>> {
    let home = config
        .split(|byte| *byte == b'\n')
        .find_map(|line| setting(line, "home"))?;
    let home = home.strip_suffix(b"/").unwrap_or(home);
    let slash = home.iter().rposition(|byte| *byte == b'/')?;
    let prefix = &home[..slash];
    if prefix.is_empty() || !prefix.starts_with(b"/") {
        return None;
    }
    let mut marked = Vec::new();
    for line in config.split_inclusive(|byte| *byte == b'\n') {
        let value = SETTINGS.iter().find_map(|name| setting(line, name));
        match value.and_then(|value| value.strip_prefix(prefix)) {
            Some(rest) if rest.first().is_none_or(|byte| b"/ ".contains(byte)) => {
                let value_start = line.len() - line_end(line) - rest.len() - prefix.len();
                marked.extend_from_slice(&line[..value_start]);
                marked.extend_from_slice(MARK.as_bytes());
                marked.extend_from_slice(&line[value_start + prefix.len()..]);
            }
            _ => marked.extend_from_slice(line),
        }
    }
    (marked != config).then_some(marked)
}

/// How many blank bytes there are at the end.
fn line_end(line: &[u8]) -> usize {
    line.len() - line.trim_ascii_end().len()
}

/// The value of a setting, without blanks around it.
fn setting<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let equals = line.iter().position(|byte| *byte == b'=')?;
    let key = line[..equals].trim_ascii();
    (key == name.as_bytes()).then(|| line[equals + 1..].trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks() {
        for (config, expected) in [
            (
                "home = /nix/store/h-python3-3.14.0/bin\nuv = 0.9\nversion_info = 3.14.0\n",
                Some("home = @python@/bin\nuv = 0.9\nversion_info = 3.14.0\n"),
            ),
            (
                "executable = /usr/bin/python3.14\r\nhome=/usr/bin/\r\ncommand = /usr/bin/python3 -m venv /usr/x\nprompt = /usr/bin",
                Some(
                    "executable = @python@/bin/python3.14\r\nhome=@python@/bin/\r\ncommand = @python@/bin/python3 -m venv /usr/x\nprompt = /usr/bin",
                ),
            ),
            (
                "home = /opt/py/bin\nexecutable = /opt/python/bin/p\nbase-prefix = /opt/py",
                Some("home = @python@/bin\nexecutable = /opt/python/bin/p\nbase-prefix = @python@"),
            ),
            ("home = @python@/bin\n", None),
            ("home = /bin\n", None),
            ("include-system-site-packages = false\n", None),
            ("", None),
        ] {
            let marked = mark(config.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(marked.as_deref(), expected, "{config}");
            if let Some(marked) = marked {
                assert_eq!(mark(marked.as_bytes()), None, "{marked}");
            }
        }
    }
}
