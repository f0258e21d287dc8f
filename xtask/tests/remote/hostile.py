# A stand-in for ssh whose other end means no good: it finds the marker in the script that it is sent, and answers
# with whatever the seed in HOSTILE says. No part of it is a real machine.
import json, os, random, sys, threading, time

seed = int(os.environ["HOSTILE"])
kind = seed % 10
rnd = random.Random(seed)
out = sys.stdout.buffer


def say(data):
    try:
        out.write(data)
        out.flush()
    except OSError:
        os._exit(1)


def endless(piece):
    while True:
        say(piece)


if kind == 0:  # never greets, never ends
    time.sleep(1000)
if kind == 1:
    endless(b"a" * 65536)

marker = None
for line in sys.stdin.buffer:
    if line.startswith(b"marker="):
        marker = line[7:].strip().strip(b"'")
        break
say(b"\n" + marker + b"\n")


def odd():
    return rnd.choice(
        [
            "/etc/passwd", "../../outside", "..", ".", "", "-x", "a\nb", "\x1b]52;c;aGk=\x07", "\u202etxt", "a" * 300,
            os.environ["VICTIM"], os.environ["VICTIM"] + "/file", "good", "/nix/store/" + "a" * 32 + "-good",
            "/nix/store/" + "a" * 32 + "-x.drv", "$(touch " + os.environ["VICTIM"] + "/ran)",
        ]
    )


fields = {
    "folder": rnd.choice(["/tmp/xtask-on.x", "", "/", odd()]),
    "problem": "",
    "version": rnd.choice(["nix-store (Nix) 2.8.0", odd()]) if rnd.random() < 0.2 else "nix-store (Nix) 2.8.0",
    "system": "Linux x86_64",
    "missing": "",
    "direct": "yes",
    "HOME": odd() or "/",
    "tools_path": odd(),
}
if kind == 4:  # greets as it should
    fields |= {"folder": "/tmp/xtask-on.x", "version": "nix-store (Nix) 2.8.0", "HOME": "/", "tools_path": "/bin"}
if kind == 2:
    for n in range(100000):
        fields[str(n)] = "x" * 1000
for name, value in fields.items():
    say(name.encode() + b"=" + value.replace("\0", "").encode() + b"\0")
if kind == 3:
    endless(b"x" * 65536)
if seed == 14:  # hears nothing from before its greeting is whole
    os.close(0)
say(b"\0")


def described():
    built = lambda: {"drv": odd(), "out": odd(), "position": odd()}
    component = lambda: dict(name=odd(), version=odd(), description=odd(), tests=[dict(name=odd(), **built())], **built())
    if rnd.random() < 0.3:
        return [{"drv": odd(), "file": os.environ["VICTIM"] + "/package-lock.json", "key": ["hash"]}]
    components = [component() for _ in range(rnd.randrange(4))]
    return [{"container": rnd.choice(["authentik", odd()]), "names": [it["name"] for it in components], "components": components}]


def reply(stdout, stderr=b"", status=0):
    say(b"reply %d %d %d\n" % (status, len(stdout), len(stderr)) + stdout + stderr)


if seed == 14:  # and talks on
    endless(b"beat\n")
if kind == 4:  # takes nothing of what is sent
    time.sleep(1000)
if kind == 5:
    endless(b"reply 0 16000000 0\n" + b"y" * 16000000)
if kind == 6:
    say(b"reply 0 99999999999999 0\n")
    endless(b"z" * 65536)
if kind == 7:
    endless(b"drv " + b"w" * 5000 + b"\nlook 1 a\nbeat\n")


def drain():
    while sys.stdin.buffer.read1(65536):
        pass
    os._exit(0)


threading.Thread(target=drain, daemon=True).start()
for _ in range(200):
    what = rnd.randrange(8)
    if what < 4:
        reply(json.dumps(described()).encode(), odd().encode())
    elif what == 4:
        reply(odd().encode() + b"\n" + os.urandom(50), b"", rnd.randrange(300))
    elif what == 5:
        say(rnd.choice([b"beat\n", b"drv Derive([(\"out\",\"/etc\",\"\",\"\")],[],[],\"\",\"\",[],[])\n", b"look 11 x\n"]))
    elif what == 6:
        sys.stderr.buffer.write(b"\x1b[2J@nix {\"action\":\"start\",\"id\":1,\"type\":105,\"fields\":[\"/../../x.drv\"]}\n")
        sys.stderr.buffer.flush()
    elif kind == 8:
        say(b"raw\n" + os.urandom(100000))
        break
    time.sleep(0.01)
