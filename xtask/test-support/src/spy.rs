//! Another user who looks for a word in all that they can see, again and again.

use crate::common::wait_until;
use std::process::{Child, Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};

/// Looks at all that another user can see, again and again.
const LOOK_AROUND: &str = r#"
while [ ! -e "$1/stop" ]; do
    grep -lsr "$2" /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/[0-9]*/mountinfo "$1" >>"$1/found"
    # the sources of mounts, too
    for place in $(awk '{ print $4 }' /proc/[0-9]*/mountinfo 2>/dev/null | sort -u); do
        [ ! -d "$place" ] || case $place in "$1"*) grep -lsr "$2" "$place" >>"$1/found" ;; esac
    done
    echo >>"$1/rounds"
done"#;

/// The user, by number.
const USER: &str = "65534";

/// Who looks around; it ends when this is dropped.
pub struct Spy {
    folder: Utf8PathBuf,
    child: Child,
}

impl Spy {
    /// Begins to look for what a pattern of grep means, which must not match itself: in what is known of all
    /// processes, and below a folder to which everybody may write.
    pub fn start(folder: &Utf8Path, pattern: &str) -> Self {
        let child = Command::new("setpriv")
            .args(["--clear-groups", "--reuid", USER, "--regid", USER])
            .args(["sh", "-c", LOOK_AROUND, "sh"])
            .args([folder.as_str(), pattern])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("somebody looks around", || folder.join("rounds").exists());
        Self {
            folder: folder.to_owned(),
            child,
        }
    }

    /// Ends it; where it found the word.
    pub fn found(mut self) -> String {
        fs_err::File::create(self.folder.join("stop")).unwrap();
        assert!(self.child.wait().unwrap().success());
        fs_err::read_to_string(self.folder.join("found")).unwrap()
    }
}

impl Drop for Spy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
