"""console-scripts.py OUT NAME...: a script in OUT/bin for each console script that a package of the venv
names in its metadata. Each NAME has to be there afterwards, be it a script or a program of its own.
"""

import configparser
import pathlib
import sys

out, *wanted = sys.argv[1:]
bin_folder = pathlib.Path(out, "bin")
count = 0
for metadata in sorted(pathlib.Path(out).glob("lib/python*/site-packages/*.dist-info/entry_points.txt")):
    entries = configparser.ConfigParser(delimiters=["="], interpolation=None)
    entries.optionxform = str
    entries.read_string(metadata.read_text())
    if not entries.has_section("console_scripts"):
        continue
    for name, target in entries.items("console_scripts"):
        # `module:object.attribute [extra]`
        module, _, function = target.split("[")[0].strip().partition(":")
        if not function:
            sys.exit(f"{metadata}: the console script {name} names no function: {target}")
        path = bin_folder / name
        path.write_text(
            f"#!{out}/bin/python3\n"
            "import sys\n"
            f"from {module} import {function.split('.')[0]}\n\n"
            f"sys.exit({function}())\n"
        )
        path.chmod(0o755)
        count += 1

missing = [name for name in wanted if not (bin_folder / name).exists()]
if missing:
    sys.exit(f"no package brings the console scripts {', '.join(missing)}")
print(f"{count} console scripts")
