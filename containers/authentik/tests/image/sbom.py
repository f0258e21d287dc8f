"""sbom.py SBOM IMAGE LOCK: holds a list of what an image holds to the image itself.

Each store path, Python package and Go module in the layers has to be in it, and each of the web UI's packages
that the lock file has for it; and no store path more.
"""

import json
import pathlib
import re
import sys
import tarfile

sbom, image, lock = sys.argv[1:]
document = json.loads(pathlib.Path(sbom).read_text())
components = document["components"]
purls = {component["purl"] for component in components if "purl" in component}
listed = {
    entry["value"] for it in components for entry in it.get("properties", []) if entry["name"] == "nix:storePath"
}
faults = []

paths, packages, modules = set(), set(), set()
with tarfile.open(image) as archive:
    for layer in json.load(archive.extractfile("manifest.json"))[0]["Layers"]:
        with tarfile.open(fileobj=archive.extractfile(layer)) as members:
            for member in members:
                parts = pathlib.PurePosixPath(member.name.lstrip("/")).parts
                if parts[:2] != ("nix", "store") or len(parts) < 3:
                    continue
                paths.add("/" + "/".join(parts[:3]))
                found = re.fullmatch(r"(.+)-([^-]+)\.dist-info", parts[-2]) if len(parts) > 4 else None
                if found and parts[-1] == "METADATA":
                    packages.add((re.sub(r"[-_.]+", "-", found[1]).lower(), found[2]))
                if member.isfile() and parts[-2:] == ("bin", "authentik"):
                    # Go's own notes in the program
                    text = members.extractfile(member).read()
                    modules.update(re.findall(rb"\ndep\t([^\t\n]+)\t([^\t\n]+)(?:\t[^\n]*)?(?=\n(?!=>))", text))
                    # in place of others, unless they are folders of the tree
                    modules.update(re.findall(rb"\n=>\t([^\t\n]+)\t(v[^\t\n]+)", text))

faults += [f"{path}: not listed" for path in sorted(paths - listed)]
faults += [f"{path}: not in the image" for path in sorted(listed - paths)]
pypi = {purl.replace("%2B", "+") for purl in purls if purl.startswith("pkg:pypi/")}
for name, version in sorted(packages):
    if f"pkg:pypi/{name}@{version}" not in pypi:
        faults.append(f"the Python package {name} {version}: not listed")
golang = {purl.replace("%2B", "+") for purl in purls if purl.startswith("pkg:golang/")}
for name, version in sorted((name.decode(), version.decode()) for name, version in modules):
    if f"pkg:golang/{name}@{version}" not in golang:
        faults.append(f"the Go module {name} {version}: not listed")
bundled = 0
for place, entry in json.loads(pathlib.Path(lock).read_text())["packages"].items():
    if "node_modules/" in place and not entry.keys() & {"link", "dev", "devOptional"}:
        bundled += 1
        name = entry.get("name") or place.rsplit("node_modules/", 1)[1]
        if f"pkg:npm/{name.replace('@', '%40')}@{entry['version'].replace('+', '%2B')}" not in purls:
            faults.append(f"the npm package {name} {entry['version']}: not listed")
refs = {component["bom-ref"] for component in components} | {"image"}
for dependency in document["dependencies"]:
    faults += [f"{ref}: depended on and not listed" for ref in dependency["dependsOn"] if ref not in refs]

print(f"{len(paths)} store paths, {len(packages)} Python packages, {len(modules)} Go modules, {bundled} npm packages")
if not (paths and packages and modules):
    faults.append("an image without any of these proves nothing")
if faults:
    sys.exit("\n".join(faults))
