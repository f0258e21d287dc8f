#!/usr/bin/env python3
"""Lets `docs-check --fix` mend copies of vaults and judges it by `resolver.py`.

    fixes.py --docs-check PROGRAM [--configuration FILE] VAULT...

Each link that led somewhere has to lead there still, in each program; those that led nowhere and lead somewhere now are
mended. No link may come or go, and no other byte change. The exit code is 1 if one did. `--configuration` is a
docs-check.toml for all vaults, with other codes than the default ones.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

import resolver
from moves import all_leads, masked


def judged(docs_check, configuration, vault, root):
    """How many links there are and how many are mended, and what is wrong; the vault's copy is mended at `root`."""
    shutil.copytree(vault, root, symlinks=True)
    if configuration:
        shutil.copy(configuration, root / "docs-check.toml")
    names = ["obsidian", "quartz"]
    copy = resolver.Vault(root)
    before, texts = all_leads(copy, names), dict(copy.texts)
    command = [docs_check, "--vault", root, "--fix"]
    subprocess.run(command, cwd=root, capture_output=True, check=False)
    copy.refresh()
    after = all_leads(copy, names)
    wrong, mended, count = [], set(), 0
    for path, links in before.items():
        if masked(texts[path]) != masked(copy.texts[path]):
            wrong.append(f"other bytes of {path} changed")
        if len(links) != len(after[path]):
            wrong.append(f"{path} had {len(links)} links and has {len(after[path])}")
        for number, ((link, was), (now, leads)) in enumerate(zip(links, after[path])):
            count += 1
            for name, lead, lead_now in zip(names, was, leads):
                if lead == lead_now:
                    continue
                if lead is None:
                    mended.add((path, number))
                else:
                    wrong.append(f"{path}:{link.line}: {link.shown()} -> {now.shown()}: in {name} {lead} became {lead_now}")
    return count, len(mended), wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--docs-check", required=True, type=pathlib.Path)
    parser.add_argument("--configuration", type=pathlib.Path)
    parser.add_argument("vaults", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    failed = False
    for vault in args.vaults:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder) / vault.name
            count, mended, wrong = judged(args.docs_check.resolve(), args.configuration, vault, root)
        print(f"{vault.name}: {count} links, {mended} mended, {len(wrong)} faults", flush=True)
        for what in wrong[:20]:
            print(f"  FAULT {what}")
        failed |= bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
