"""closure.py IMAGE ALLOWED WANTED...: lists the store paths in the layers of an image with their sizes. Each
name has to match a line of ALLOWED, each path WANTED has to be there, and nothing that builds. One run names
all that is wrong.
"""

import collections
import json
import pathlib
import re
import sys
import tarfile

image, allowed, *wanted = sys.argv[1:]
# what no image needs: compilers, package managers, and what they bring
TOOLS = {"cargo", "cc", "esbuild", "gcc", "go", "ld", "make", "node", "npm", "patchelf", "pip", "rustc", "tsc", "uv"}

patterns = [
    re.compile(line)
    for line in pathlib.Path(allowed).read_text().splitlines()
    if line and not line.startswith("#")
]
sizes = collections.Counter()
faults = []
unexpected = set()
layers = {}
manifest = None
with tarfile.open(image) as archive:
    for member in archive:
        if member.name == "manifest.json":
            manifest = json.load(archive.extractfile(member))
        if not member.name.endswith("layer.tar"):
            continue
        layers[member.name] = member.size
        with tarfile.open(fileobj=archive.extractfile(member), mode="r|") as layer:
            for file in layer:
                # whole names, as nixpkgs writes them, or those below the root
                parts = pathlib.PurePosixPath(file.name.lstrip("/")).parts
                if parts[:2] != ("nix", "store") or len(parts) < 3:
                    continue
                path = "/" + "/".join(parts[:3])
                sizes[path] += file.size
                # bundles keep pictures and fonts in folders called node_modules; packages have this file
                is_package = "node_modules" in parts and parts[-1] == "package.json"
                if is_package or (len(parts) > 4 and parts[-2] == "bin" and parts[-1] in TOOLS):
                    faults.append(f"/{'/'.join(parts)} is of no use in an image")

if manifest is None or manifest[0]["Layers"] != list(layers):
    faults.append(f"the manifest does not name the {len(layers)} layers")
for path in sorted(sizes, key=sizes.get, reverse=True):
    name = path.removeprefix("/nix/store/")[33:]
    print(f"{sizes[path] / 2**20:8.1f} MiB  {name}")
    if not any(pattern.fullmatch(name) for pattern in patterns):
        faults.append(f"{path} is not allowed in the image")
        unexpected.add(re.sub(r"([.+?*()])", r"\\\1", name))
faults += [f"{path} is not in the image" for path in wanted if path not in sizes]
print(f"{sum(sizes.values()) / 2**20:8.1f} MiB  {len(sizes)} store paths in {len(layers)} layers")
if unexpected:
    faults += ["those that belong there are lines of containers/authentik/tests/image/allowed.txt:", *sorted(unexpected)]
if faults:
    sys.exit("\n".join(faults))
