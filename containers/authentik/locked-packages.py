"""locked-packages.py LOCK_FOLDER NAME=MODULE...: whether what the project itself needs is there.

The lock file names it; without one pyproject.toml does, which then pins it. A package is there in its locked
version, as a folder of the tree (packages/), or as the module of a pinned source. Without one of them the
program may be built and not start.
"""

import importlib.metadata
import importlib.util
import pathlib
import re
import sys
import tomllib

folder, *modules = sys.argv[1:]
folder = pathlib.Path(folder)
of_sources = dict(text.split("=", 1) for text in modules)


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted():
    """Name and version of each; no version for what the tree or a pinned source brings."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    own = project.get("tool", {}).get("uv", {}).get("sources", {})
    own = {normal(name) for name, source in own.items() if source.get("workspace")}
    versions = {}
    if (folder / "uv.lock").exists():
        for package in tomllib.loads((folder / "uv.lock").read_text())["package"]:
            if "registry" in package["source"]:
                # several of a name are for several systems: any of them will do
                versions.setdefault(normal(package["name"]), set()).add(package["version"])
    for requirement in project["project"]["dependencies"]:
        name, marker = requirement.partition(";")[::2]
        if marker:
            # which systems it is for is uv's to say
            continue
        found = re.match(r"[A-Za-z0-9._-]+", name)
        name, rest = normal(found[0]), name[found.end() :]
        pinned = re.search(r"==\s*([^\s,]+)", rest)
        if name in own or name in of_sources:
            yield name, None
        elif name in versions:
            yield name, versions[name]
        else:
            yield name, {pinned[1]} if pinned else set()


missing = []
count = 0
for name, versions in wanted():
    count += 1
    if versions is None:
        module = of_sources.get(name)
        if module and importlib.util.find_spec(module) is None:
            missing.append(f"{name}: no module {module} of the pinned source")
        elif not module and not list(pathlib.Path("packages").glob(f"{name}/pyproject.toml")):
            missing.append(f"{name}: no folder packages/{name} in the tree")
        continue
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        missing.append(f"{name}: not among the installed packages")
        continue
    if versions and version not in versions:
        missing.append(f"{name}: {version} is installed, not {' or '.join(sorted(versions))}")
if missing:
    sys.exit("the project names packages that are not there:\n  " + "\n  ".join(missing))
print(f"{count} packages that the project names are there")
