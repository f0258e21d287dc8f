"""serves.py ASSEMBLED WEBUI VERSION: starts `ak server` and asks it for a file of the web UI and for an
answer of the backend. A backend that wants a database says so in the log: that will do.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

assembled, webui, version = sys.argv[1:]
address = "127.0.0.1:9000"
asset = f"dist/poly-{version}.js"
log = pathlib.Path("log.txt")


def ask(path):
    """The status and the body of an answer; nothing from what does not listen."""
    try:
        with urllib.request.urlopen(f"http://{address}/{path}", timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return None, b""


def until(seconds, what, check):
    """Waits for the first result of `check` that is one."""
    for _ in range(seconds * 10):
        result = check()
        if result:
            return result
        if server.poll() is not None:
            sys.exit(f"the server ended with {server.returncode}\n{log.read_text()}")
        time.sleep(0.1)
    sys.exit(f"{what}: not within {seconds} s\n{log.read_text()}")


def backend():
    status, body = ask("-/health/live/")
    if status in (200, 204):
        return f"the backend answers {status}"
    if "PostgreSQL connection failed" in log.read_text():
        return "the backend wants a database"
    return None


environment = {
    "AUTHENTIK_LISTEN__HTTP": address,
    "AUTHENTIK_SECRET_KEY": "test",
    "HOME": os.environ["TMPDIR"],
    "TMPDIR": os.environ["TMPDIR"],
}
with log.open("w") as output:
    server = subprocess.Popen(
        [f"{assembled}/bin/ak", "server"],
        env=environment,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
try:
    wanted = pathlib.Path(webui, asset).read_bytes()
    until(60, f"/static/{asset}", lambda: ask(f"static/{asset}") == (200, wanted))
    print(f"{asset}: {len(wanted)} bytes of the web UI")
    print(until(120, "a sign of the backend", backend))
finally:
    os.killpg(server.pid, signal.SIGKILL)
