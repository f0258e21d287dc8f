"""serves.py CADDY: a file over HTTP, and the same through the TCP proxy of layer 4."""

import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(port, path):
    """Status and body of a request; without a proxy, whatever the environment says."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


http, tcp = free_port(), free_port()
text = f"served at {time.time_ns()}\n".encode()
site = pathlib.Path("site")
site.mkdir()
(site / "file.txt").write_bytes(text)
pathlib.Path("Caddyfile").write_text(f"""{{
	admin off
	layer4 {{
		127.0.0.1:{tcp} {{
			route {{
				proxy 127.0.0.1:{http}
			}}
		}}
	}}
}}

http://127.0.0.1:{http} {{
	root {site.absolute()}
	file_server
}}
""")
caddy = subprocess.Popen([sys.argv[1], "run", "--config", "Caddyfile", "--adapter", "caddyfile"])
try:
    end = time.monotonic() + 60
    while True:
        try:
            get(http, "/")
            break
        except urllib.error.URLError:
            if caddy.poll() is not None or time.monotonic() > end:
                sys.exit("caddy does not listen")
            time.sleep(0.1)
    for name, port in [("http", http), ("tcp", tcp)]:
        found = get(port, "/file.txt")
        print(name, *found)
        if found != (200, text):
            sys.exit(f"{name}: {found} is not what was to be served")
    if get(http, "/none")[0] != 404:
        sys.exit("a file that is not there is served")
finally:
    caddy.terminate()
    if caddy.wait(timeout=30) != 0:
        sys.exit(f"caddy ended with {caddy.returncode}")
