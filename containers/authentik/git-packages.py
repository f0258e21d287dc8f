"""git-packages.py UV_LOCK PINS_FILE NAME=REVISION...: whether the lock file takes from git just what is
pinned, at the pinned revisions.

The packages in git have pins of their own, because uv would ask one place only.
"""

import pathlib
import sys
import tomllib

lock, pins, *pinned = sys.argv[1:]
revisions = dict(text.split("=", 1) for text in pinned)
wrong = []
for package in tomllib.loads(pathlib.Path(lock).read_text())["package"]:
    place = package["source"].get("git")
    if place is None:
        continue
    name, revision = package["name"], place.rpartition("#")[2]
    if name not in revisions:
        wrong.append(
            f"uv.lock takes {name} from git ({place}), and {pins} has no pin `sources.{name}` with a `module`"
        )
    elif revisions[name] != revision:
        wrong.append(
            f"uv.lock takes {name} at {revision}, and the pin `sources.{name}` in {pins} is at "
            f"{revisions[name]}: put the revision of the lock file there as `version`, and find its `hash` "
            "by `cargo xtask test-build python-deps --write-pins`"
        )
    else:
        print(f"{name} at {revision}")
if wrong:
    sys.exit("\n".join(wrong))
