"""Writes what Nix says about a closure in .attrs.json as nixpkgs' closureInfo does."""

import json
import pathlib

attributes = json.load(open(".attrs.json"))
out = pathlib.Path(attributes["outputs"]["out"])
closure = attributes["closure"]
out.mkdir()
out.joinpath("total-nar-size").write_text(f"{sum(path['narSize'] for path in closure)}\n")
out.joinpath("store-paths").write_text("".join(f"{path['path']}\n" for path in closure))
registration = ""
for path in closure:
    lines = [path["path"], path["narHash"], path["narSize"], "", len(path["references"]), *path["references"]]
    registration += "".join(f"{line}\n" for line in lines)
out.joinpath("registration").write_text(registration)
