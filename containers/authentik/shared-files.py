"""The packages of a venv that bring a file which another brings too, by name: shared-files.py SITE_PACKAGES."""

import csv
import pathlib
import sys

owners = {}
for record in pathlib.Path(sys.argv[1]).glob("*.dist-info/RECORD"):
    metadata = record.with_name("METADATA").read_text(encoding="utf-8", errors="replace")
    name = next(line[len("Name:") :].strip() for line in metadata.splitlines() if line.startswith("Name:"))
    with record.open(encoding="utf-8", newline="") as lines:
        for row in csv.reader(lines):
            if row:
                owners.setdefault(row[0], set()).add(name)
shared = set().union(*(names for names in owners.values() if len(names) > 1))
print("\n".join(sorted(shared, key=str.lower)))
