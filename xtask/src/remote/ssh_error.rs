//! Why ssh did not get through, in words that say what to do.

/// Whether ssh said that a host has another key than the one that is known.
pub fn is_another_key(said: &str) -> bool {
    said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED")
}

/// Explains what ssh said when a connection did not come about; `own` if it was not to be one that is open already.
pub fn explain(host: &str, said: &str, own: bool) -> String {
    let has = |part: &str| said.contains(part);
    if is_another_key(said) {
        return format!(
            "`{host}` has another host key than the one that is known, so somebody may be in between; \
             no file was sent. If the key was changed on purpose: `ssh-keygen -R` with the name and file \
             that ssh gives, then `ssh {host}` by hand\n{}",
            barred(said)
        );
    }
    if has("Host key verification failed") {
        return format!(
            "the host key of `{host}` is not known yet: connect once by hand, `ssh {host}`, compare the \
             key and accept it\n{}",
            barred(said)
        );
    }
    if has("Could not resolve hostname") {
        return format!(
            "there is no host `{host}`: give a name that `ssh {host}` finds, of the network or of \
             ~/.ssh/config\n{}",
            barred(said)
        );
    }
    if has("Permission denied") || has("Too many authentication failures") {
        let shared = if own {
            "a port is forwarded by a connection of its own, so one that is open (ControlMaster, \
             ssh_config(5)) is not used"
        } else {
            "where only a password will do, keep a connection open that others may use (ControlMaster, \
             ssh_config(5))"
        };
        return format!(
            "`{host}` refused the login: ssh must get in without asking, so a key has to be in \
             ssh-agent or ~/.ssh (`ssh-add`), and accepted there (`ssh-copy-id {host}`); {shared}\n{}",
            barred(said)
        );
    }
    let why = if said.trim().is_empty() {
        format!(
            "ssh gave no reason; if its settings have `StdinNull` or `SessionType` for this host \
             (`ssh -G {host}` shows them), take them out, for it has to read and run something there"
        )
    } else {
        format!("ssh says\n{}", barred(said))
    };
    format!("could not connect to `{host}`: {why}")
}

/// The last lines, each behind a bar: at the beginning of a line CI systems take some words for commands.
fn barred(said: &str) -> String {
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.trim_matches('@').trim().is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(12)..];
    last.iter()
        .map(|line| format!("  | {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_openssh_says() {
        for (said, expected) in [
            (
                "ssh: Could not resolve hostname ringtial: Name or service not known\r\n",
                "there is no host `h`",
            ),
            (
                "No ED25519 host key is known for [127.0.0.1]:22 and you have requested strict \
                 checking.\r\nHost key verification failed.\r\n",
                "is not known yet",
            ),
            (
                "@@@@@@@@@@\r\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n\
                 Host key verification failed.\r\n",
                "another host key",
            ),
            (
                "u@h: Permission denied (publickey).\r\n",
                "refused the login",
            ),
            (
                "ssh: connect to host h port 22: Connection refused\r\n",
                "could not connect to `h`: ssh says\n  | ssh: connect to host h port 22: Connection refused",
            ),
            ("", "ssh gave no reason"),
        ] {
            let told = explain("h", said, false);
            assert!(told.contains(expected), "{told}");
            assert!(!told.contains("@@@") && !told.contains('\r'), "{told}");
        }
    }
}
