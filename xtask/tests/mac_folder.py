"""A folder as a Mac has it: case makes no difference to which file a name finds, and names are listed in
decomposed characters (NFD), whatever a file was called. A pass-through over a folder with FUSE.

    mac_folder.py BELOW MOUNTPOINT

Links, modes, owners and times are those of the folder below. An extended attribute whose name ends in
`provenance` can be read and not set, as `com.apple.provenance` on a Mac.
"""

import errno
import os
import sys
import unicodedata

try:
    import fusepy as fuse  # as Debian calls it
except ImportError:
    import fuse


def decomposed(name):
    return unicodedata.normalize("NFD", name)


def key(name):
    return decomposed(decomposed(name).casefold())


class MacFolder(fuse.Operations):
    use_ns = True

    def __init__(self, below):
        self.below = below
        self.listed = {}  # names by key, of each folder below

    def names(self, folder):
        if folder not in self.listed:
            self.listed[folder] = {key(name): name for name in os.listdir(folder)}
        return self.listed[folder]

    def real(self, path):
        """The path below of what a path finds; where nothing is there, of what would be made."""
        real = self.below
        for part in path.strip("/").split("/") if path != "/" else []:
            names = self.names(real) if os.path.isdir(real) else {}
            real = os.path.join(real, names.get(key(part), decomposed(part)))
        return real

    def spelled(self, path):
        """The path below that something gets with this very name."""
        folder, name = os.path.split(path)
        return os.path.join(self.real(folder), decomposed(name))

    def forget(self):
        self.listed.clear()

    def getattr(self, path, fh=None):
        data = os.fstat(fh) if fh is not None else os.lstat(self.real(path))
        attributes = {
            name: getattr(data, name)
            for name in ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_ino", "st_blocks")
        }
        for time in ("atime", "mtime", "ctime"):
            attributes["st_" + time] = getattr(data, "st_" + time + "_ns")
        return attributes

    def readdir(self, path, fh):
        return [".", "..", *os.listdir(self.real(path))]

    def access(self, path, mode):
        if not os.access(self.real(path), mode):
            raise fuse.FuseOSError(errno.EACCES)
        return 0

    def readlink(self, path):
        return os.readlink(self.real(path))

    def statfs(self, path):
        data = os.statvfs(self.real(path))
        names = ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_namemax")
        return {name: getattr(data, name) for name in names}

    def mkdir(self, path, mode):
        os.mkdir(self.real(path), mode)
        self.forget()

    def mknod(self, path, mode, device):
        os.mknod(self.real(path), mode, device)
        self.forget()

    def rmdir(self, path):
        os.rmdir(self.real(path))
        self.forget()

    def unlink(self, path):
        os.unlink(self.real(path))
        self.forget()

    def symlink(self, path, to):
        os.symlink(to, self.real(path))
        self.forget()

    def link(self, path, to):
        os.link(self.real(to), self.real(path), follow_symlinks=False)
        self.forget()

    def rename(self, old, new):
        old, there = self.real(old), self.real(new)
        # the same file by another name, or what is there is replaced and keeps its name
        os.rename(old, self.spelled(new) if there == old else there)
        self.forget()

    def chmod(self, path, mode):
        os.chmod(self.real(path), mode)

    def chown(self, path, user, group):
        os.lchown(self.real(path), user, group)

    def utimens(self, path, times=None):
        os.utime(self.real(path), ns=times, follow_symlinks=False)

    def open(self, path, flags):
        return os.open(self.real(path), flags & ~(os.O_CREAT | os.O_EXCL))

    def create(self, path, mode, fi=None):
        handle = os.open(self.real(path), os.O_RDWR | os.O_CREAT, mode)
        self.forget()
        return handle

    def read(self, path, size, offset, fh):
        return os.pread(fh, size, offset)

    def write(self, path, data, offset, fh):
        return os.pwrite(fh, data, offset)

    def truncate(self, path, length, fh=None):
        os.truncate(self.real(path) if fh is None else fh, length)

    def release(self, path, fh):
        os.close(fh)

    def fsync(self, path, datasync, fh):
        return 0

    def listxattr(self, path):
        return os.listxattr(self.real(path), follow_symlinks=False)

    def getxattr(self, path, name, position=0):
        return os.getxattr(self.real(path), name, follow_symlinks=False)

    def setxattr(self, path, name, value, options, position=0):
        if name.endswith("provenance"):
            raise fuse.FuseOSError(errno.EPERM)
        os.setxattr(self.real(path), name, value, options, follow_symlinks=False)

    def removexattr(self, path, name):
        os.removexattr(self.real(path), name, follow_symlinks=False)


if __name__ == "__main__":
    os.umask(0)  # the caller's has been applied
    # Nothing is remembered of names: one file has many.
    remembered = {name + "_timeout": 0 for name in ("entry", "attr", "negative", "ac_attr")}
    fuse.FUSE(
        MacFolder(sys.argv[1]),
        sys.argv[2],
        foreground=True,
        nothreads=True,
        use_ino=True,
        hard_remove=True,
        default_permissions=True,
        **remembered,
    )
