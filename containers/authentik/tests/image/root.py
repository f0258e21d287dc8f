"""root.py ARCHIVE BLUEPRINTS: what an image holds beside the store, by the modes and links of its layers.

All built-in blueprints are there as links to the folder BLUEPRINTS, in folders that nobody can write to.
"""

import json
import pathlib
import stat
import sys
import tarfile

archive, built_in = sys.argv[1], pathlib.Path(sys.argv[2])
found = {}
with tarfile.open(archive) as image:
    manifest = json.load(image.extractfile("manifest.json"))[0]
    for layer in manifest["Layers"]:
        with tarfile.open(fileobj=image.extractfile(layer)) as members:
            for member in members:
                # "./etc", or "/nix/store"
                name = member.name.removeprefix("./").strip("/")
                if not name.startswith("nix/store"):
                    found[name] = member

wrong = []
modes = {"tmp": 0o1777, "certs": 0o770, "data": 0o770, "blueprints": 0o555, "blueprints/custom": 0o555}
modes |= {name: 0o555 for name, member in found.items() if name.startswith("blueprints/") and member.isdir()}
for name, mode in modes.items():
    member = found.get(name)
    if member is None or not member.isdir():
        wrong.append(f"/{name}: no folder")
    elif (member.mode, member.uid, member.gid) != (mode, 0, 0):
        wrong.append(f"/{name}: {member.mode:o} of {member.uid}:{member.gid}, not {mode:o} of 0:0")
for name, member in found.items():
    if member.mode & (stat.S_ISUID | stat.S_ISGID) or member.isdev():
        wrong.append(f"/{name}: {member.mode:o}")
    if member.isfile() and name != "":
        wrong.append(f"/{name}: a file that is not in the store")


def target(name):
    """Where a link leads, link by link; what is in the store is there while this runs."""
    return pathlib.Path(found[name].linkname).resolve() if name in found and found[name].issym() else None


count = 0
for file in sorted(built_in.rglob("*")):
    if file.is_file():
        count += 1
        name = f"blueprints/{file.relative_to(built_in)}"
        if target(name) != file.resolve():
            wrong.append(f"/{name} leads to {target(name)}, not to {file}")
if wrong:
    sys.exit("\n".join(wrong))
print(f"{count} built-in blueprints")
