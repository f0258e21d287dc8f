//! What differs between Linux and macOS: orphans, pipes, /proc, names of programs and files.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// Whether this is Linux, where Nix builds the components and services run.
pub const IS_LINUX: bool = cfg!(target_os = "linux");

/// The program that opens a URL in the user's browser.
pub const OPEN_PROGRAM: &str = if cfg!(target_os = "macos") {
    "open"
} else {
    "xdg-open"
};

/// The file with the CA certificates that the system trusts.
pub const CERTIFICATES: &str = if cfg!(target_os = "macos") {
    "/etc/ssl/cert.pem"
} else {
    "/etc/ssl/certs/ca-certificates.crt"
};

/// This machine as Nix names it, such as `x86_64-linux`.
pub fn nix_system() -> String {
    let name = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    format!("{}-{name}", std::env::consts::ARCH)
}

/// Makes this process the parent of orphaned descendants. Only Linux has this; elsewhere what a killed
/// child left running is not found.
#[cfg(target_os = "linux")]
pub fn adopt_orphans() -> io::Result<()> {
    let own = Some(rustix::process::getpid());
    Ok(rustix::process::set_child_subreaper(own)?)
}

/// See the function of this name for Linux.
#[cfg(not(target_os = "linux"))]
pub fn adopt_orphans() -> io::Result<()> {
    Ok(())
}

/// Whether this process was started to go on when the terminal goes away, as `nohup` does. Systems without
/// /proc don't say.
pub fn ignores_hangups() -> bool {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // A bit for each signal, from the first on: SIGHUP is the first.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

/// Makes a pipe hold this many bytes if that is allowed, and gives what it holds then, if known.
#[cfg(target_os = "linux")]
pub fn enlarge_pipe(pipe: impl AsFd, bytes: usize) -> Option<usize> {
    rustix::pipe::fcntl_setpipe_size(pipe, bytes).ok()
}

/// See the function of this name for Linux. Elsewhere the size of a pipe can't be changed.
#[cfg(not(target_os = "linux"))]
pub fn enlarge_pipe(_: impl AsFd, _: usize) -> Option<usize> {
    None
}

/// Permission bits as a number; how wide these are differs.
#[cfg(target_os = "linux")]
pub fn mode_bits(mode: rustix::fs::RawMode) -> u32 {
    mode & 0o7777
}

/// See the function of this name for Linux.
#[cfg(not(target_os = "linux"))]
pub fn mode_bits(mode: rustix::fs::RawMode) -> u32 {
    u32::from(mode) & 0o7777
}

/// Each process and its parent, from `/proc/<pid>/stat` (`proc_pid_stat(5)`); empty on systems without
/// /proc.
pub fn parents() -> BTreeMap<i32, i32> {
    let Ok(entries) = fs_err::read_dir("/proc") else {
        return BTreeMap::new();
    };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let process = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs_err::read(entry.path().join("stat")).ok()?;
            Some((process, parent_in_stat(&String::from_utf8_lossy(&stat))?))
        })
        .collect()
}

/// The fourth field; the second, the program's name in brackets, may itself hold brackets and blanks.
fn parent_in_stat(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

/// The processor time of this process, and of all that it and what it started waited for, from
/// `/proc/self/stat`; none on systems without /proc.
pub fn processor_time() -> Option<Duration> {
    let stat = fs_err::read_to_string("/proc/self/stat").ok()?;
    let ticks = ticks_in_stat(&stat)?;
    Some(Duration::from_millis(
        ticks * 1000 / rustix::param::clock_ticks_per_second(),
    ))
}

/// The sum of the fields 14 to 17: user and system time, and those of children.
fn ticks_in_stat(stat: &str) -> Option<u64> {
    let fields = stat.rsplit_once(')')?.1.split_whitespace();
    let times: Vec<u64> = fields
        .skip(11)
        .take(4)
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    (times.len() == 4).then(|| times.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_from_stat() {
        let stat = "42 (a) b) S 7 42 42 0 -1 4194304 99 98 0 0 1 20 300 4000 20 0 1 0";
        assert_eq!(ticks_in_stat(stat), Some(4321));
        assert_eq!(ticks_in_stat("42 (a) S 7"), None);
    }

    #[test]
    fn parents_are_read_from_stat() {
        assert_eq!(parent_in_stat("42 (a) b) S 7 42 42 0"), Some(7));
        assert_eq!(parent_in_stat(""), None);
    }
}
