"""Writes an image as docker-tools.nix describes it, from Nix's .attrs.json: the same bytes each time.

The format is that of `docker save`: layers as tar files, a configuration with the hashes of their contents,
and manifest.json, which names both.
https://github.com/moby/moby/blob/v25.0.0/image/spec/v1.2.md#combined-image-json--filesystem-changeset-format
"""

import datetime
import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import stat
import tarfile

attributes = json.load(open(".attrs.json"))
mtime = int(datetime.datetime.fromisoformat(attributes["mtime"].replace("Z", "+00:00")).timestamp())


def entry(path: pathlib.Path | None, name: str) -> tarfile.TarInfo:
    """The head of a file, folder or link of a layer; a plain folder without `path`."""
    info = tarfile.TarInfo(name)
    info.uid, info.gid = attributes["uid"], attributes["gid"]
    info.uname, info.gname = attributes["uname"], attributes["gname"]
    info.mtime = mtime
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    if path is not None:
        found = path.lstat()
        info.mode = stat.S_IMODE(found.st_mode)
        if stat.S_ISLNK(found.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
        elif stat.S_ISREG(found.st_mode):
            info.type, info.size = tarfile.REGTYPE, found.st_size
    return info


def add(tar: tarfile.TarFile, path: pathlib.Path) -> None:
    """Puts a store path into a layer, whole, under its whole name, as nixpkgs does."""
    info = entry(path, str(path))
    if info.isreg():
        with path.open("rb") as content:
            tar.addfile(info, content)
        return
    tar.addfile(info)
    if info.isdir():
        for below in sorted(path.iterdir()):
            add(tar, below)


def by_need(closure: list[dict]) -> list[str]:
    """The paths, those first that the most others need: images share them."""
    references = {path["path"]: set(path["references"]) - {path["path"]} for path in closure}
    needed = dict.fromkeys(references, 0)
    for start in references:
        seen, ahead = set(), [start]
        while ahead:
            for path in references[ahead.pop()] - seen:
                seen.add(path)
                ahead.append(path)
        for path in seen:
            needed[path] += 1
    return sorted(references, key=lambda path: (-needed[path], path))


class Hashing(io.RawIOBase):
    """A file, and the hash of what was written to it."""

    def __init__(self, file):
        self.file, self.hash = file, hashlib.sha256()

    def writable(self):
        return True

    def write(self, data):
        self.hash.update(data)
        return self.file.write(data)


layers: list[tuple[str, pathlib.Path]] = []


def layer(write) -> None:
    """A layer of what `write` puts into the file that it is given."""
    path = pathlib.Path(f"layer-{len(layers)}.tar")
    with path.open("wb") as file:
        hashing = Hashing(file)
        write(hashing)
    layers.append((hashing.hash.hexdigest(), path))


def of_paths(paths: list[str]):
    """A layer of store paths."""

    def write(file) -> None:
        with tarfile.open(fileobj=file, mode="w|", format=tarfile.GNU_FORMAT) as tar:
            for folder in ("/nix", "/nix/store"):
                tar.addfile(entry(None, folder))
            for path in paths:
                add(tar, pathlib.Path(path))

    return write


def copy_top(file) -> None:
    with open(f"{attributes['top']}/layer.tar", "rb") as top:
        shutil.copyfileobj(top, file)


# the configuration lies in the archive itself, not in the image
paths = [path for path in by_need(attributes["closure"]) if path != attributes["base"]]
alone = attributes["maxLayers"] - 2
groups = [[path] for path in paths[:alone]]
if paths[alone:]:
    groups.append(paths[alone:])
for group in groups:
    layer(of_paths(group))
layer(copy_top)

config = json.load(open(attributes["base"]))
config["rootfs"] = {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest, _ in layers]}
config["history"] = [
    {"created": attributes["created"], "comment": " ".join(group) if group else "links and files at their places"}
    for group in [*groups, []]
]
config_json = json.dumps(config, sort_keys=True).encode()
config_name = hashlib.sha256(config_json).hexdigest() + ".json"
names = [f"{digest}/layer.tar" for digest, _ in layers]
manifest = [
    {
        "Config": config_name,
        "RepoTags": [f"{attributes['imageName']}:{attributes['imageTag']}"],
        "Layers": names,
    }
]

with open(attributes["outputs"]["out"], "wb") as out:
    gzipped = attributes["compressor"] == "gz"
    # neither time nor name, or the bytes would be others
    target = gzip.GzipFile("", "wb", 6, out, 0) if gzipped else out
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.GNU_FORMAT) as archive:

        def file(name: str, size: int, content) -> None:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = size, mtime
            archive.addfile(info, content)

        for name, (_, path) in zip(names, layers):
            with path.open("rb") as content:
                file(name, path.stat().st_size, content)
        for name, content in ((config_name, config_json), ("manifest.json", json.dumps(manifest).encode())):
            file(name, len(content), io.BytesIO(content))
    if gzipped:
        target.close()
print(f"{len(layers)} layers with {len(paths)} store paths")
