"""supervise.py PLAN --data DIR [--port N] [--fresh] [--image ARCHIVE]: starts a service and all that it needs,
and ends it with everything that it started.

PLAN is a file that service.nix writes: the parts of the service, server and worker, the command that prepares
the database, settings, and where it says that it is ready. The parts run against a PostgreSQL of
their own, whose data is kept below DIR from run to run; so are its passwords and what the service stores. It
listens on a socket only. As root all of them run as the user 65534.

What happens is told on stderr, as JSON lines:

  {"event": "part", "part": NAME, "state": "starting" | "running" | "ready" | "ended"}
  {"event": "log", "part": NAME, "line": TEXT}
  {"event": "ready", "address": URL, "user": NAME, "password": TEXT}
  {"event": "error", "message": TEXT}

SIGTERM, SIGINT and SIGHUP end the parts in order, a second one kills them. Exit codes: 0 ended by a signal,
1 a part failed, 2 could not run.

Nothing outlives it. The process that is started only watches: the work is done by a child of it, in a
session of its own, of which nothing is left when the first process ends. Should that one be killed, the
child is told by the kernel and ends all in order; should both be, each part is told.
"""

import argparse
import collections
import contextlib
import ctypes
import fcntl
import http.client
import json
import os
import pathlib
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

# How long parts may take to end when they are told to, in seconds, and the database after them; what is
# started on another machine has twelve seconds in all before it is killed there.
ENDING = 5
ENDING_DATABASE = 3
# How long until the service has to be ready, in seconds: a first migration takes minutes on a slow machine.
READY = 900
# The user as whom everything runs if root starts it: PostgreSQL refuses to run as root.
NOBODY = 65534
# The longest path of a Unix socket, in bytes, without the zero at its end.
LONGEST_SOCKET = 107
# What is no longer enough room on a disk, in bytes.
FULL = 16 << 20

# What a run makes in the folder of its data, beside the lock; `cache`, byte code, is of earlier versions.
DATA = ["cache", "certificates", "home", "postgresql", "postgresql.new", "secrets.json", "storage", "version"]

# Variables by which others find all that belongs to a run; every process gets them.
MARKS = ["XTASK_RUN", "XTASK_TEST"]
# What tells this program to end.
TOLD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
TELLING = threading.Lock()


class CouldNot(Exception):
    """Something that keeps the service from running, in words for whoever started it."""


class Ended(Exception):
    """A part ended by itself."""


class Stopped(Exception):
    """A signal came."""


def emit(**event):
    """Tells what happened, if anybody still listens."""
    with contextlib.suppress(OSError), TELLING:
        os.write(2, json.dumps(event).encode() + b"\n")


def die_with_parent(number, parent):
    """Has the kernel send this process a signal when its parent ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        # it was quicker
        os.kill(os.getpid(), number)


def marks():
    """The variables of MARKS that this process has."""
    return {name: os.environ[name] for name in MARKS if name in os.environ}


def finished(command, environment, text=""):
    """What a program did that ends by itself; it is killed when this process ends."""
    parent = os.getpid()
    return subprocess.run(
        command,
        input=text.encode(),
        capture_output=True,
        cwd="/",
        env=environment | marks(),
        pass_fds=LOCKS,
        preexec_fn=lambda: die_with_parent(signal.SIGKILL, parent),
        **identity(),
    )


def nobody_listens():
    """Whether what is told reaches nobody any more: the other end of stderr was closed."""
    poll = select.poll()
    poll.register(2, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def identity():
    """The user as whom the parts run, as arguments of Popen; nothing where it is this one."""
    if os.geteuid() != 0:
        return {}
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def give(path):
    """Makes a folder or file the parts' own."""
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)


def can_enter(folder):
    """Whether the parts can reach a folder: the first one above it that is closed to them, or None."""
    if os.geteuid() != 0:
        return None
    for place in [*reversed(folder.resolve().parents), folder.resolve()]:
        if place.exists():
            known = place.stat()
            wanted = 0o100 if known.st_uid == NOBODY else 0o010 if known.st_gid == NOBODY else 0o001
            if not known.st_mode & wanted:
                return place
    return None


def runtime_folder():
    """A short folder of this run's own, for sockets and what need not last; nobody else can enter it."""
    places = [os.environ.get("XDG_RUNTIME_DIR"), os.environ.get("TMPDIR"), "/tmp"]
    # the longest name of a socket in it
    longest = len("/server/authentik-server/authentik-core.sock")
    for place in filter(None, places):
        if not os.path.isabs(place) or can_enter(pathlib.Path(place)):
            continue
        if len(os.fsencode(place)) + len("/xtask-run.12345678") + longest > LONGEST_SOCKET:
            continue
        with contextlib.suppress(OSError):
            folder = pathlib.Path(tempfile.mkdtemp(prefix="xtask-run.", dir=place))
            give(folder)
            return folder
    raise CouldNot(f"no folder for sockets: {' and '.join(filter(None, places))} can't be used; set TMPDIR")


def remove(folder):
    """Removes a folder of this program's with all that is in it, whatever of it is there."""
    shutil.rmtree(folder, ignore_errors=True)


def session_members(session):
    """The processes of a session, without those that ended."""
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            text = pathlib.Path(entry.path, "stat").read_text(errors="replace")
            # behind the program's name, which may hold anything
            state, _, _, of = text.rpartition(")")[2].split()[:4]
            if int(of) == session and state not in "ZX":
                found.append(int(entry.name))
    return found


def free_port():
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Part:
    """A process of the service; what it says is told line by line."""

    def __init__(self, name, command, environment, ending=signal.SIGTERM):
        self.name = name
        self.ending = ending
        self.last = collections.deque(maxlen=30)
        self.wanted = {}
        emit(event="part", part=name, state="starting")
        parent = os.getpid()
        try:
            self.process = subprocess.Popen(
                command,
                env=environment | marks(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=0,
                pass_fds=LOCKS,
                preexec_fn=lambda: die_with_parent(ending, parent),
                **({} if command[0] in ENGINES else identity()),
            )
        except OSError as error:
            raise CouldNot(f"{name}: {command[0]} can't be started: {error.strerror}") from error
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def expect(self, text):
        """An event that is set once a line with this text came."""
        return self.wanted.setdefault(text, threading.Event())

    def read(self):
        for line in self.process.stdout:
            line = line.decode(errors="replace").rstrip("\r\n")
            self.last.append(line)
            for listener in LISTENERS:
                listener(self.name, line)
            for text, event in list(self.wanted.items()):
                if text in line:
                    event.set()
            emit(event="log", part=self.name, line=line)

    def ended(self):
        """How it ended, if it did."""
        code = self.process.poll()
        if code is None:
            return None
        self.thread.join(2)
        emit(event="part", part=self.name, state="ended")
        return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def end(self):
        """Tells it to end."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(self.ending)

    def kill(self):
        """Kills it with its children."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)


# Container engines, whose own processes need this user and environment.
ENGINES = []
# Descriptors that all parts keep open: a run is over when the last of them has ended.
LOCKS = []
# Who else hears what the parts say: functions of a part's name and a line.
LISTENERS = []


class Service:
    """A service, as its plan says, on the data in a folder."""

    def __init__(self, plan, data, runtime, port=None, durable=True, image=None, loopback=False):
        self.plan = plan
        self.data = data
        self.runtime = runtime
        self.port = port or free_port()
        self.durable = durable
        # the parts reach the database by TCP, as they do on a network; others by the socket
        self.database_port = free_port() if loopback else None
        self.image = image
        self.parts = {}
        # who else may say, while something is waited for, that there is no use: functions that raise
        self.doubts = []
        self.stopping = 0
        self.secrets = {}

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    # ---- data

    def prepare(self):
        """Makes the folders and passwords that are not there yet."""
        self.check_port()
        for name in ["certificates", "home", "storage"]:
            folder = self.data / name
            folder.mkdir(exist_ok=True)
            folder.chmod(0o700)
            give(folder)
        (self.runtime / "database").mkdir()
        give(self.runtime / "database")
        file = self.data / "secrets.json"
        if file.exists():
            self.secrets = json.loads(file.read_text())
            remove(self.data / "cache")
        else:
            names = ["database", "secret_key", "password", "token"]
            self.secrets = {name: secrets.token_hex(16 if name == "password" else 32) for name in names}
            write(file, json.dumps(self.secrets), 0o600)
        used = self.data / "version"
        last = used.read_text() if used.exists() else self.plan["version"]
        if parsed(last) > parsed(self.plan["version"]):
            raise CouldNot(
                f"the data in {self.data} is of version {last}, and this is {self.plan['version']}, which can't "
                "read it: run the newer version, or begin anew with `--fresh`"
            )

    def check_port(self):
        """Says who cannot have the port before anything is started."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError as error:
                raise CouldNot(
                    f"port {self.port} of 127.0.0.1 is taken ({error.strerror}): `--port N` takes another"
                ) from error

    # ---- database

    def postgresql(self, name):
        return f"{self.plan['postgresql']}/bin/{name}"

    def cluster(self):
        """Makes PostgreSQL's data folder, if there is none; under another name until it is whole."""
        cluster = self.data / "postgresql"
        told = finished([self.postgresql("postgres"), "--version"], {})
        version = told.stdout.decode().split()[2].split(".")[0]
        if cluster.exists():
            made_by = (cluster / "PG_VERSION").read_text().strip()
            if made_by != version:
                raise CouldNot(
                    f"the database in {cluster} was made by PostgreSQL {made_by}, and this is {version}: dump it "
                    f"with pg_dump of {made_by} and restore it, or begin anew with `--fresh`"
                )
            return cluster
        new = self.data / "postgresql.new"
        remove(new)
        new.mkdir(mode=0o700)
        give(new)
        password = self.runtime / "password"
        write(password, self.secrets["database"] + "\n", 0o600)
        give(password)
        command = [self.postgresql("initdb"), "--no-sync", "--locale=C", "--encoding=UTF8", "--username=postgres"]
        command += ["--auth=scram-sha-256", f"--pwfile={password}", "-D", str(new)]
        made = finished(command, {"PATH": ""})
        password.unlink()
        if made.returncode != 0:
            raise CouldNot(f"PostgreSQL can't make a database in {new}:\n{made.stderr.decode(errors='replace')}")
        new.rename(cluster)
        return cluster

    def forget_dead_server(self, cluster):
        """PostgreSQL takes a server that was killed for a living one until its parent has waited for it, which
        the first process of a container may never do. The lock on the data says that nobody uses them."""
        file = cluster / "postmaster.pid"
        try:
            process = int(file.read_text().split()[0])
            stat = pathlib.Path(f"/proc/{process}/stat").read_text()
        except (OSError, ValueError, IndexError):
            return
        if stat.rpartition(")")[2].split()[0] == "Z":
            file.unlink()

    def start_database(self):
        cluster = self.cluster()
        self.forget_dead_server(cluster)
        command = [self.postgresql("postgres"), "-D", str(cluster), "-k", str(self.runtime / "database")]
        command += ["-c", f"listen_addresses={'127.0.0.1' if self.database_port else ''}"]
        command += ["-p", str(self.database_port or 5432), "-c", "max_connections=200"]
        # a crash of the machine may lose the last moments, and leaves nothing half-written
        command += ["-c", "synchronous_commit=off", "-c", "wal_writer_delay=10ms"]
        if not self.durable:
            command += ["-c", "fsync=off", "-c", "full_page_writes=off"]
        part = Part("postgresql", command, {}, signal.SIGINT)
        ready = part.expect("ready to accept connections")
        self.parts["postgresql"] = part
        self.wait(120, "postgresql", ready.is_set)
        name, password = self.plan["database"], self.secrets["database"]
        self.sql("postgres", f"""
            SELECT 'CREATE ROLE {name} LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') \\gexec
            ALTER ROLE {name} PASSWORD '{password}';
            SELECT 'CREATE DATABASE {name} OWNER {name}'
              WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{name}') \\gexec
        """)
        emit(event="part", part="postgresql", state="ready")

    def sql(self, database, text, program="psql", arguments=("-qAtX", "-v", "ON_ERROR_STOP=1")):
        """What a client program of PostgreSQL prints."""
        environment = {"PGPASSWORD": self.secrets["database"], "PGUSER": "postgres"}
        environment["PGPORT"] = str(self.database_port or 5432)
        command = [self.postgresql(program), "-h", str(self.runtime / "database"), *arguments, database]
        done = finished(command, environment, text)
        if done.returncode != 0:
            raise CouldNot(f"{program}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode()

    # ---- parts

    def environment(self, part):
        """The settings of a part, with what this run knows in the place of {NAMES}."""
        inside = self.image is not None
        known = {
            "address": f"127.0.0.1:{self.port}",
            "database_host": "/run/postgresql" if inside else str(self.runtime / "database"),
            "database_port": str(self.database_port or 5432),
            "storage": "/data" if inside else str(self.data / "storage"),
            "certificates": "/certs" if inside else str(self.data / "certificates"),
            "database": self.plan["database"],
        }
        if self.database_port:
            known["database_host"] = "127.0.0.1"
        known |= {f"secret_{name}": value for name, value in self.secrets.items()}
        values = self.plan["environment"] | self.plan["parts"].get(part, {}).get("environment", {})
        if not inside:
            temporary = self.runtime / part
            temporary.mkdir(mode=0o700, exist_ok=True)
            give(temporary)
            values |= {"HOME": str(self.data / "home"), "TMPDIR": str(temporary)}
        result = {}
        for name, value in values.items():
            while "{free_address}" in value:
                value = value.replace("{free_address}", f"127.0.0.1:{free_port()}", 1)
            for key, text in known.items():
                value = value.replace("{" + key + "}", text)
            result[name] = value
        return result

    def start(self, part, arguments):
        environment = self.environment(part)
        if self.image is None:
            self.parts[part] = Part(part, [self.plan["program"], *arguments], environment)
            return
        command = self.image.command(part, arguments, environment, self)
        self.parts[part] = Part(part, command, os.environ | environment)

    def migrate(self):
        """Prepares the database, to its end: from here on earlier versions can't read the data."""
        write(self.data / "version", self.plan["version"], 0o644)
        self.start("migrate", self.plan["migrate"])
        part = self.parts["migrate"]
        while part.process.poll() is None:
            self.look(but="migrate")
            time.sleep(0.05)
        how = part.ended()
        del self.parts["migrate"]
        if part.process.returncode != 0:
            raise Ended(self.words("migrate", how, part))

    def start_parts(self):
        for name, part in self.plan["parts"].items():
            self.start(name, part["arguments"])

    def answers(self, path, token=False):
        """Whether the server answers a path with success."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Authorization": f"Bearer {self.secrets['token']}"} if token else {}
        try:
            connection.request("GET", path, headers=headers)
            return 200 <= connection.getresponse().status < 300
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def wait_ready(self, seconds=READY):
        """Waits until the server says that it is ready, and the worker has made what signing in takes."""
        ready, login = self.plan["ready"], self.plan["login"]
        self.wait(seconds, f"the server to answer {ready}", lambda: self.answers(ready), pause=0.2)
        emit(event="part", part="server", state="ready")
        for path, token in [(login["who"], True), (login["flow"], False)]:
            self.wait(seconds, f"the worker to make what {path} wants", lambda: self.answers(path, token), pause=0.2)
        emit(event="part", part="worker", state="ready")

    def wait(self, seconds, what, check, pause=0.05):
        """Waits until `check` says so, as long as all parts run."""
        end = time.monotonic() + seconds
        while not check():
            self.look()
            if time.monotonic() > end:
                raise CouldNot(f"waited {seconds} s for {what}")
            time.sleep(pause)

    def look(self, but=None):
        """Raises what happened: a signal, or a part that ended."""
        if self.stopping:
            raise Stopped
        for name, part in self.parts.items():
            if name != but and (how := part.ended()):
                raise Ended(self.words(name, how, part))
        for doubt in self.doubts:
            doubt()

    def words(self, name, how, part):
        """What is said of a part that ended."""
        text = f"{name} {how}"
        free = min(shutil.disk_usage(place).free for place in (self.data, self.runtime))
        if free < FULL or any("No space left on device" in line for line in part.last):
            text += f"; there is no space left on the disk of {self.data} or {self.runtime}"
        return "\n  ".join([text, *part.last])

    def stop_parts(self, names=None):
        """Ends parts in order: those that use the database, then it."""
        names = [name for name in reversed(self.parts) if names is None or name in names]
        others = [name for name in names if name != "postgresql"]
        for group, seconds in [(others, ENDING), (["postgresql"], ENDING_DATABASE)]:
            parts = [self.parts[name] for name in group if name in names]
            for part in parts:
                part.end()
            end = time.monotonic() + seconds
            while any(part.process.poll() is None for part in parts):
                if time.monotonic() > end or self.stopping > 1:
                    break
                time.sleep(0.02)
            for part in parts:
                # children may outlive a part that ended
                part.kill()
                part.process.wait()
                self.parts.pop(part.name)
                emit(event="part", part=part.name, state="ended")
            if self.image and (inside := [part.name for part in parts if part.name != "postgresql"]):
                self.image.remove(inside)


def engine_program():
    """The container engine to use: what XTASK_CONTAINER_ENGINE names, or one on PATH; None without one."""
    return os.environ.get("XTASK_CONTAINER_ENGINE") or shutil.which("podman") or shutil.which("docker")


class Engine:
    """A container engine that runs the parts from an image."""

    def __init__(self, archive, name):
        found = engine_program()
        if not found:
            raise CouldNot("`--image` wants podman or docker, and neither is on PATH")
        self.program = found
        ENGINES.append(found)
        self.kind = os.path.basename(found)
        self.name = name
        # the containers of each part: a name may not be free again at once
        self.containers = {}
        loaded = self.run("load", "--input", archive)
        tag = loaded.rpartition("Loaded image")[2].partition(":")[2].split()
        if not tag:
            raise CouldNot(f"{found} load does not say what it loaded: {loaded}")
        self.image = self.run("image", "inspect", "--format", "{{.Id}}", tag[0]).strip()

    def run(self, *arguments):
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise CouldNot(f"{self.program} {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def command(self, part, arguments, environment, service):
        """The command line; values of variables are not on it, where everybody could read them."""
        names = self.containers.setdefault(part, [])
        names.append(f"{self.name}-{part}-{len(names) + 1}" if names else f"{self.name}-{part}")
        command = [self.program, "run", "--rm", f"--name={names[-1]}", "--network=host", "--read-only"]
        command += ["--cap-drop=all", "--security-opt=no-new-privileges", "--no-healthcheck"]
        # SELinux would keep it from the database's socket
        command += ["--security-opt=label=disable"]
        command += [f"--memory={service.plan['memory'][part]}", f"--shm-size={service.plan['shared_memory']}"]
        command += ["--tmpfs=/tmp:mode=1777"]
        if os.geteuid() != 0:
            # what is written belongs to whoever started this
            by_engine = {"podman": [f"--userns=keep-id:uid={NOBODY},gid={NOBODY}"]}
            command += by_engine.get(self.kind, [f"--user={os.geteuid()}:0"])
        command += [f"--volume={service.runtime / 'database'}:/run/postgresql"]
        command += [f"--volume={service.data / 'storage'}:/data"]
        for name in environment:
            command += ["--env", name]
        return [*command, self.image, *arguments]

    def remove(self, names):
        """Removes what may still run of these parts: a container may outlive the program that started it."""
        containers = [container for name in names for container in self.containers.get(name, [])]
        subprocess.run([self.program, "rm", "--force", *containers], capture_output=True)


def parsed(version):
    """A version, to compare: its numbers, where what is no number counts as nothing. Pre-releases come before the
    release, `-rc9` before `-rc10`."""
    numbers, _, pre = version.partition("-")
    words = [(word, int(number or 0)) for word, number in re.findall(r"(\D*)(\d*)", pre)]
    return [int(piece) if piece.isdecimal() else 0 for piece in numbers.split(".")], not pre, words


def write(path, text, mode):
    """Writes a file as a whole."""
    new = path.with_name(path.name + ".new")
    with open(os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW, mode), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)


def is_of_run(data):
    """Whether a folder is empty or has the data of a run, by the files that say so."""
    for name, key in [("lock", "runtime"), ("secrets.json", "secret_key")]:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if json.loads((data / name).read_text()).get(key):
                return True
    # a file system of its own has a folder in it, and a run that was killed at once noted nothing in the lock's file
    return all(
        entry.name == "lost+found" or entry.name == "lock" and entry.stat().st_size == 0 for entry in os.scandir(data)
    )


def take(data, told):
    """Makes the data folder, and takes it for this run: a description of the lock's file, open."""
    closed = can_enter(data.parent)
    if closed:
        raise CouldNot(
            f"as root the service runs as the user {NOBODY}, who can't enter {closed}: `--data DIR` takes another "
            "folder for its data"
        )
    data.mkdir(parents=True, exist_ok=True)
    if not is_of_run(data):
        raise CouldNot(
            f"{data} has files in it and is not the folder of a run: give `--data` one that is empty or not there yet"
        )
    data.chmod(0o711)
    lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    # what a killed run left takes a moment to end
    end = time.monotonic() + 15
    waits = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            holder = noted(lock)
            since = holder and began(holder["pid"])
            if since and since == holder.get("began"):
                raise CouldNot(
                    f"the data in {data} is in use by process {holder['pid']} since {holder['since']}: end that first"
                ) from None
            if time.monotonic() > end:
                who = ", ".join(map(str, users(data / "lock"))) or "unknown"
                raise CouldNot(
                    f"the data in {data} is still in use by what a run left that was killed: end it first (processes: "
                    f"{who})"
                ) from None
            if told:
                raise CouldNot(f"the data in {data} is in use") from None
            if not waits:
                emit(event="log", part="data", line="waits for what an earlier run left to end")
                waits = True
            time.sleep(0.1)
    if waits:
        emit(event="part", part="data", state="ended")
    return lock


def began(pid):
    """When a process began, in ticks since the machine's start; None if there is none."""
    with contextlib.suppress(OSError):
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace")
        # behind the program's name, which may hold anything
        fields = text.rpartition(")")[2].split()
        return int(fields[19]) if fields[0] not in "ZX" else None
    return None


def users(file):
    """The processes that have a file open, other than this one."""
    known = file.stat()
    found = set()
    for entry in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if os.path.samestat(entry.stat(), known) and entry.parts[2] != str(os.getpid()):
                found.add(int(entry.parts[2]))
    return sorted(found)


def noted(lock):
    """What the last run noted in the lock's file."""
    with contextlib.suppress(ValueError, OSError):
        return json.loads(os.pread(lock, 4096, 0))
    return None


def clean_up_after(lock, uid):
    """Removes what a run left that was killed with everything that watches."""
    left = noted(lock)
    if not left:
        return
    folder = pathlib.Path(left["runtime"])
    if folder.name.startswith("xtask-run.") and folder.is_dir() and not folder.is_symlink():
        if folder.stat().st_uid in (uid, NOBODY):
            remove(folder)
    if left.get("engine"):
        with contextlib.suppress(OSError):
            # it may be gone by now
            subprocess.run([left["engine"], "rm", "--force", *left["containers"]], capture_output=True)


def work(arguments, plan, lock, runtime, name):
    """Starts the service and follows it until it ends or is told to."""
    data = arguments.data
    LOCKS.append(lock)
    os.set_inheritable(lock, True)
    service = Service(plan, data, runtime, arguments.port, durable=True)

    def stop(number, frame):
        service.stopping += 1

    for number in TOLD:
        signal.signal(number, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD)
    try:
        if arguments.fresh:
            for old in DATA:
                path = data / old
                remove(path) if path.is_dir() else path.unlink(missing_ok=True)
        service.look()
        service.prepare()
        if arguments.image:
            service.image = Engine(arguments.image, name)
        service.start_database()
        service.migrate()
        service.start_parts()
        service.wait_ready()
        login = plan["login"]
        emit(
            event="ready",
            address=f"{service.address}{login['path']}",
            user=login["user"],
            password=service.secrets["password"],
        )
        while True:
            service.look()
            time.sleep(0.1)
    except Stopped:
        return 0
    except Ended as ended:
        emit(event="error", message=str(ended))
        return 1
    except CouldNot as reason:
        emit(event="error", message=str(reason))
        return 2
    except OSError as error:
        emit(event="error", message=f"{error.filename or data}: {error.strerror}")
        return 2
    except (ValueError, KeyError) as error:
        emit(event="error", message=f"a file in {data} is damaged ({error!r}): `--fresh` begins anew")
        return 2
    finally:
        service.stop_parts()


def watch(arguments, plan):
    """The first process: starts the one that works, and sees to it that nothing of it stays."""
    parent = os.getppid()
    die_with_parent(signal.SIGTERM, parent)
    told = []
    for number in TOLD:
        signal.signal(number, lambda number, frame: told.append(number))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.umask(0o022)
    runtime = None
    try:
        lock = take(arguments.data, told)
        clean_up_after(lock, os.geteuid())
        runtime = runtime_folder()
        name = f"xtask-run-{runtime.name.rpartition('.')[2]}"
        engine = engine_program() if arguments.image else None
        containers = [f"{name}-{part}" for part in [*plan["parts"], "migrate"]]
        note = {
            "pid": os.getpid(),
            "began": began(os.getpid()),
            "since": time.strftime("%H:%M:%S"),
            "runtime": str(runtime),
            "engine": engine,
            "containers": containers,
        }
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps(note).encode(), 0)
    except (CouldNot, OSError) as reason:
        if runtime:
            remove(runtime)
        place = getattr(reason, "filename", None) or arguments.data
        emit(event="error", message=str(reason) if isinstance(reason, CouldNot) else f"{place}: {reason.strerror}")
        return 2
    watcher = os.getpid()
    # what is told meanwhile is told to the right one of both afterwards
    signal.pthread_sigmask(signal.SIG_BLOCK, TOLD)
    worker = os.fork()
    if worker == 0:
        code = 2
        try:
            os.setsid()
            die_with_parent(signal.SIGTERM, watcher)
            code = work(arguments, plan, lock, runtime, name)
        except BaseException as error:
            emit(event="error", message=f"what starts the service failed: {error!r}")
        finally:
            if os.getppid() != watcher:
                # nobody else does
                remove(runtime)
            os._exit(code)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD)
    passed_on = 0
    while True:
        pid, status = os.waitpid(worker, os.WNOHANG)
        if pid:
            break
        while passed_on < len(told):
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, told[passed_on])
            passed_on += 1
        if not told and nobody_listens():
            # whoever started this ended before the kernel was asked to tell
            told.append(signal.SIGTERM)
        time.sleep(0.05)
    # the kernel told the parts, if their parent was killed
    end = time.monotonic() + ENDING
    while (members := session_members(worker)) and time.monotonic() < end:
        time.sleep(0.05)
    while members := session_members(worker):
        for member in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        time.sleep(0.02)
    if os.WIFSIGNALED(status):
        emit(event="error", message=f"what runs the service was killed by signal {os.WTERMSIG(status)}")
        if engine:
            subprocess.run([engine, "rm", "--force", *containers], capture_output=True)
    remove(runtime)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1


def main():
    parser = argparse.ArgumentParser(prog="supervise")
    parser.add_argument("plan", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--image")
    arguments = parser.parse_args()
    arguments.data = arguments.data.absolute()
    return watch(arguments, json.loads(arguments.plan.read_text()))


if __name__ == "__main__":
    sys.exit(main())
