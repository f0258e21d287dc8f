"""sbom.py PLAN: writes a list of what an image holds, as CycloneDX 1.6 JSON, the same bytes each time.

PLAN is JSON: `name`, `version`, `out`; `closure`, the output of closureInfo; `server`, a program of Go, and `go`,
what `go version -m` says of it; `web`, the package-lock.json of the web UI; `pins` and `packageSet`.

https://cyclonedx.org/docs/1.6/json/
"""

import base64
import json
import pathlib
import re
import sys
import urllib.parse
import uuid

plan = json.loads(pathlib.Path(sys.argv[1]).read_text())
pins = json.loads(pathlib.Path(plan["pins"]).read_text())

components = {}
depends = {}


def purl(kind, name, version, **qualifiers):
    """https://github.com/package-url/purl-spec"""
    quoted = "/".join(urllib.parse.quote(part, safe="") for part in name.split("/"))
    text = f"pkg:{kind}/{quoted}@{urllib.parse.quote(version, safe='')}"
    if qualifiers:
        text += "?" + "&".join(f"{key}={urllib.parse.quote(value, safe='')}" for key, value in sorted(qualifiers.items()))
    return text


def add(ref, name, version, owner=None, **more):
    """A component, which is a part of another one, if that is named."""
    components.setdefault(ref, {"type": "library", "bom-ref": ref, "name": name, "version": version} | more)
    if owner is not None:
        depends.setdefault(owner, set()).add(ref)


def parsed(name):
    """Name and version of a store path, as Nix tells them apart."""
    found = re.fullmatch(r"(.*?)-([0-9].*)", name)
    return found.groups() if found else (name, "")


def property_of(name, value):
    return {"name": name, "value": value}


def sri(text):
    """A hash as npm and Nix write them, in hexadecimal digits."""
    kind, digits = text.split()[0].split("-", 1)
    return {"alg": f"SHA-{kind.removeprefix('sha')}", "content": base64.b64decode(digits).hex()}


# Store paths, and what refers to what.
lines = iter((pathlib.Path(plan["closure"]) / "registration").read_text().split("\n"))
paths = []
for path in lines:
    if not path:
        break
    _hash, _size, _deriver, count = next(lines), next(lines), next(lines), int(next(lines))
    references = [next(lines) for _ in range(count)]
    paths.append(path)
    depends.setdefault(path, set()).update(reference for reference in references if reference != path)
for path in paths:
    name, version = parsed(pathlib.Path(path).name[33:])
    add(path, name, version, properties=[property_of("nix:storePath", path)])

# What they hold: packages of the distribution, of Python.
distro = plan["packageSet"].removeprefix("host-")
for path in paths:
    record = pathlib.Path(path, "nix-support/debian-packages")
    for line in record.read_text().splitlines() if record.is_file() else []:
        name, version = line.split()
        ref = purl("deb", f"debian/{name}", version, arch="amd64", distro=distro)
        add(ref, name, version, path, purl=ref)
    # those that packages keep a copy of, as setuptools does in `_vendor`, too
    for metadata in sorted(pathlib.Path(path).glob("lib/python*/site-packages/**/*.dist-info/METADATA")):
        # below is the description, which may say anything
        head = metadata.read_text().split("\n\n", 1)[0]
        fields = dict(re.findall(r"^(Name|Version|License-Expression): (.*)$", head, re.MULTILINE))
        ref = purl("pypi", re.sub(r"[-_.]+", "-", fields["Name"]).lower(), fields["Version"])
        more = {"licenses": [{"expression": fields["License-Expression"]}]} if "License-Expression" in fields else {}
        add(ref, fields["Name"], fields["Version"], path, purl=ref, **more)

# Modules that are compiled into the server; Go's own library is one as well.
replaced = None
for line in pathlib.Path(plan["go"]).read_text().splitlines():
    fields = line.split("\t")
    if fields[0].startswith(plan["server"]):
        version = fields[0].rsplit(": go", 1)[1].split()[0]
        add(purl("golang", "std", version), "std", version, plan["serverPath"], purl=purl("golang", "std", version))
    elif fields[1:2] in (["dep"], ["=>"]):
        name, version = fields[2], fields[3]
        if fields[1] == "=>":
            if not version.startswith("v"):
                # a folder of the tree itself
                continue
            # in place of the one before
            components.pop(replaced)
            depends[plan["serverPath"]].discard(replaced)
        replaced = purl("golang", name, version)
        more = {}
        if name == plan["generated"]:
            more["properties"] = [property_of("generated", "from the schema, by openapi-generator-cli")]
        add(replaced, name, version, plan["serverPath"], purl=replaced, **more)

# What is bundled into the web UI, by its lock file; what only builds and tests it is marked there.
for place, entry in sorted(json.loads(pathlib.Path(plan["web"]).read_text())["packages"].items()):
    if "node_modules/" not in place or entry.get("link") or entry.get("dev") or entry.get("devOptional"):
        continue
    name = entry.get("name") or place.rsplit("node_modules/", 1)[1]
    ref = purl("npm", name, entry["version"])
    more = {"hashes": [sri(entry["integrity"])]} if "integrity" in entry else {}
    add(ref, name, entry["version"], plan["webPath"], purl=ref, **more)


def origin(source, version):
    """Where a pinned source comes from: all places that its hash holds for."""
    references = []
    for place in source["places"]:
        text = {key: value.replace("{version}", version) for key, value in place.items()}
        if "git" in text:
            references.append({"type": "vcs", "url": text["git"], "comment": text["rev"]})
        elif "npm" in text:
            references.append({"type": "distribution", "url": purl("npm", text["npm"], text["version"])})
        elif "go" in text:
            references.append({"type": "distribution", "url": purl("golang", text["go"], text["version"])})
        elif "pypi" in text:
            references.append({"type": "distribution", "url": purl("pypi", text["pypi"], text["version"])})
        else:
            references.append({"type": "distribution", "url": f"file:{text['file']}"})
    return references


# What pins.json names: parts of the image, and what only made parts of it.
for name, source in sorted(pins["sources"].items()):
    version = source.get("version", pins["version"])
    add(
        f"source:{name}",
        name,
        version,
        scope="required" if name == "authentik" or "module" in source else "excluded",
        externalReferences=origin(source, version),
        properties=[property_of("nix:outputHash", source["hash"])],
    )

root = {
    "type": "container",
    "bom-ref": "image",
    "name": plan["name"],
    "version": plan["version"],
    "licenses": [{"license": {"id": "MIT"}}],
}
depends["image"] = {*paths, *(f"source:{name}" for name in pins["sources"])}
document = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "version": 1,
    "metadata": {"component": root, "properties": [property_of("nix:packageSet", plan["packageSet"])]},
    "components": [components[ref] for ref in sorted(components)],
    "dependencies": [
        {"ref": ref, "dependsOn": sorted(depends.get(ref, ()))} for ref in sorted({"image", *components})
    ],
}
document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(document, sort_keys=True))}"
pathlib.Path(plan["out"]).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
print(f"{len(components)} components, of which {len(paths)} are store paths")
