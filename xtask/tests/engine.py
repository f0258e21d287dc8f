#!/usr/bin/env python3
"""A container engine for tests, where there is no podman: `load`, `image inspect`, `run` and `rm`, with just
the arguments that supervise.py gives. Only root can use it.

It is a stand-in: a container has its own mounts, processes, names of the machine and shared memory, a root that
is read-only, the user of the image and no capability; what it does not have is a limit of its memory, a filter
of system calls, a network of its own, and any care for images and containers beyond a run. All that it keeps
lies in the folder XTASK_ENGINE_FOLDER. A container ends when the process that runs it does, however that ends.
"""

import argparse
import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(os.environ["XTASK_ENGINE_FOLDER"])
LIBC = ctypes.CDLL(None, use_errno=True)

# of <sched.h>, <sys/mount.h> and <sys/prctl.h>
NEWNS, NEWUTS, NEWIPC, NEWPID = 0x20000, 0x4000000, 0x8000000, 0x20000000
RDONLY, NOSUID, NODEV, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
DETACH = 2
PDEATHSIG, CAPBSET_DROP, NO_NEW_PRIVS = 1, 24, 38


def call(name, *arguments):
    """A function of the C library, which must succeed."""
    arguments = [os.fsencode(it) if isinstance(it, (str, pathlib.Path)) else it for it in arguments]
    if getattr(LIBC, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def mount(source, target, kind=None, flags=0, data=None):
    call("mount", source, target, kind, ctypes.c_ulong(flags), data)


def unpack(archive, folder):
    subprocess.run(["tar", "--numeric-owner", "-xpf", archive, "-C", folder], check=True)


def load(input):
    """Unpacks an archive: its layers one over the other, and its settings."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as archive:
        unpack(input, archive)
        archive = pathlib.Path(archive)
        manifest = json.loads((archive / "manifest.json").read_text())[0]
        name = pathlib.Path(manifest["Config"]).stem
        place = FOLDER / "images" / name
        shutil.rmtree(place, ignore_errors=True)
        (place / "root").mkdir(parents=True)
        for layer in manifest["Layers"]:
            unpack(archive / layer, place / "root")
        shutil.copy(archive / manifest["Config"], place / "config.json")
        (place / "tag").write_text(manifest["RepoTags"][0])
    print(f"Loaded image: {manifest['RepoTags'][0]}")


def images():
    return [place for place in (FOLDER / "images").iterdir() if (place / "tag").exists()]


def inspect(tag):
    print(next(f"sha256:{place.name}" for place in images() if (place / "tag").read_text() == tag))


def born(pid):
    """When a process started, which tells it from others of its number."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def inside(root, options, volumes):
    """Makes the file system of a container, and changes into it."""
    call("unshare", NEWNS | NEWUTS | NEWIPC)
    mount("none", "/", None, REC | PRIVATE)
    # a mount of its own, whose other mounts stand in folders of it
    mount(root, root, None, BIND)
    mount("proc", root / "proc", "proc", NOSUID | NODEV)
    mount("tmpfs", root / "dev", "tmpfs", NOSUID, "mode=755")
    for device in ["null", "zero", "full", "random", "urandom", "tty"]:
        (root / "dev" / device).touch()
        mount(f"/dev/{device}", root / "dev" / device, None, BIND)
    (root / "dev/fd").symlink_to("/proc/self/fd")
    for number, name in enumerate(["stdin", "stdout", "stderr"]):
        (root / "dev" / name).symlink_to(f"/proc/self/fd/{number}")
    (root / "dev/shm").mkdir()
    mount("tmpfs", root / "dev/shm", "tmpfs", NOSUID | NODEV, f"mode=1777,size={options.shm_size}")
    for text in options.tmpfs:
        place, _, data = text.partition(":")
        mount("tmpfs", root / place[1:], "tmpfs", NOSUID | NODEV, data)
    for source, target in volumes:
        mount(source, root / target[1:], None, BIND)
    if options.read_only:
        mount("none", root, None, REMOUNT | BIND | RDONLY)
    os.chdir(root)
    call("pivot_root", ".", ".")
    call("umount2", ".", DETACH)
    os.chdir("/")


def become(user, parent):
    """Gives up all rights, for good."""
    uid, _, gid = user.partition(":")
    for capability in range(64):
        LIBC.prctl(CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setgid(int(gid or 0))
    os.setuid(int(uid))
    call("prctl", NO_NEW_PRIVS, 1, 0, 0, 0)
    # as the last: another user is told no more
    call("prctl", PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.read(parent, 1) != b"r":
        os._exit(1)


def run(options):
    place = FOLDER / "images" / options.image.removeprefix("sha256:")
    config = json.loads((place / "config.json").read_text())["config"]
    root = place / "root"
    volumes = [text.split(":") for text in options.volume]
    for target in ["/proc", "/dev", *(text.partition(":")[0] for text in options.tmpfs), *(it[1] for it in volumes)]:
        (root / target[1:]).mkdir(parents=True, exist_ok=True)
    environment = {"HOME": "/tmp"} | dict(text.split("=", 1) for text in config["Env"])
    environment |= {name: os.environ[name] for name in options.env}
    command = [*config["Entrypoint"], *options.arguments]

    signals = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    reading, writing = os.pipe()
    # of its children
    call("unshare", NEWPID)
    first = os.fork()
    if first == 0:
        try:
            os.close(writing)
            inside(root, options, volumes)
            become(options.user or config["User"], reading)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
            os.execve(command[0], command, environment)
        except BaseException as error:
            print(f"engine.py: {error}", file=sys.stderr, flush=True)
        os._exit(127)
    note = FOLDER / f"{options.name}.json"
    note.write_text(json.dumps({"pid": os.getpid(), "born": born(os.getpid())}))
    # it goes on only if this process still lives
    os.write(writing, b"r")

    def pass_on(number, frame):
        with contextlib.suppress(ProcessLookupError):
            os.kill(first, number)

    for number in signals:
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    _, status = os.waitpid(first, 0)
    note.unlink(missing_ok=True)
    code = os.waitstatus_to_exitcode(status)
    sys.exit(128 - code if code < 0 else code)


def rm(name):
    """Kills what runs a container, and with it the container."""
    note = FOLDER / f"{name}.json"
    with contextlib.suppress(OSError):
        known = json.loads(note.read_text())
        if born(known["pid"]) == known["born"]:
            os.kill(known["pid"], signal.SIGKILL)
    note.unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(prog="engine.py", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("load").add_argument("--input", required=True)
    image = commands.add_parser("image").add_subparsers(required=True).add_parser("inspect")
    image.add_argument("--format", choices=["{{.Id}}"], required=True)
    image.add_argument("tag")
    started = commands.add_parser("run", allow_abbrev=False)
    started.add_argument("--rm", action="store_true", required=True)
    started.add_argument("--name", required=True)
    started.add_argument("--network", choices=["host"], required=True)
    started.add_argument("--read-only", action="store_true")
    started.add_argument("--cap-drop", choices=["all"], required=True)
    # there are no labels here
    started.add_argument("--security-opt", choices=["no-new-privileges", "label=disable"], action="append")
    started.add_argument("--no-healthcheck", action="store_true")
    started.add_argument("--memory")
    started.add_argument("--shm-size", required=True)
    started.add_argument("--user")
    for several in ["--tmpfs", "--volume", "--env"]:
        started.add_argument(several, action="append", default=[])
    started.add_argument("image")
    started.add_argument("arguments", nargs=argparse.REMAINDER)
    removed = commands.add_parser("rm")
    removed.add_argument("--force", action="store_true", required=True)
    removed.add_argument("names", nargs="+")
    options = parser.parse_args()
    match options.command:
        case "load":
            load(options.input)
        case "image":
            inspect(options.tag)
        case "run":
            run(options)
        case "rm":
            for name in options.names:
                rm(name)


if __name__ == "__main__":
    main()
