//! What differs between Linux and macOS: flags for opening files, holes, and the times in what is known of a
//! file.

use rustix::fs::{OFlags, Stat, Timespec};

/// Opens a file without changing its access time; only Linux has this.
#[cfg(target_os = "linux")]
pub const NOATIME: OFlags = OFlags::NOATIME;
/// Opens a file without changing its access time; only Linux has this.
#[cfg(not(target_os = "linux"))]
pub const NOATIME: OFlags = OFlags::empty();

/// Whether a file system says for certain where a file has no data; APFS can say so of what was written just now.
pub const KNOWS_HOLES: bool = cfg!(target_os = "linux");

#[cfg(target_os = "linux")]
const fn signed(nanoseconds: u64) -> i64 {
    nanoseconds.cast_signed()
}

#[cfg(not(target_os = "linux"))]
const fn signed(nanoseconds: i64) -> i64 {
    nanoseconds
}

/// When a file was last read.
pub fn accessed(stat: &Stat) -> Timespec {
    Timespec {
        tv_sec: stat.st_atime,
        tv_nsec: signed(stat.st_atime_nsec),
    }
}

/// When a file's content was last written.
pub fn modified(stat: &Stat) -> Timespec {
    Timespec {
        tv_sec: stat.st_mtime,
        tv_nsec: signed(stat.st_mtime_nsec),
    }
}

/// When anything of a file last changed.
pub fn changed(stat: &Stat) -> Timespec {
    Timespec {
        tv_sec: stat.st_ctime,
        tv_nsec: signed(stat.st_ctime_nsec),
    }
}
