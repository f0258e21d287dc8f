#!/usr/bin/env python3
"""Compares the findings of docs-check about links with what `resolver.py` finds.

    findings.py --docs-check PROGRAM [--sample N] [--seed N] VAULT...

Printed are links that lead nowhere by the resolver and that docs-check does not report, with the text of their lines, and
for each code N of its findings, each with the resolver's verdict and its line: to be judged by hand. They are drawn by the
seed, one vault after the other, because one with thousands of broken links would be all of the sample.
"""

import argparse
import collections
import itertools
import json
import pathlib
import random
import subprocess
import sys

import resolver
from moves import Pages, programs

CODES = {
    "link-unknown", "link-ambiguous", "link-case", "link-by-alias", "link-empty", "link-unpublished",
    "anchor-unknown", "block-unknown", "file-unknown", "pipe-in-table",
}  # fmt: skip


def is_template(target):
    """Whether a template fills it in."""
    return "{{" in target or "{%" in target or "<%" in target or "${" in target


def broken(vault, names):
    """Links that lead nowhere, and those whose anchor leads nowhere, in all programs that count."""
    pages = Pages(vault)
    # Quartz has no page of a draft, and no links in front matter.
    has_drafts = names != ["quartz"]
    for path, card in vault.cards.items():
        if not path.endswith(".md"):
            continue
        for link in card.links:
            if is_template(link.target) or link.kind == "prop" and names == ["quartz"]:
                continue
            leads = [pages.leads(path, link, name) for name in names]
            # In each of them docs-check lets a path from the card be one.
            if not link.is_wiki and link.target:
                leads.append(vault.leads(path, link, "forge"))
            found = [lead for lead in leads if lead]
            if not has_drafts:
                found = [lead for lead in found if lead[0] not in vault.cards or not vault.cards[lead[0]].is_draft]
            if not found:
                # The site's root is not the vault's, and what is outside of the vault is not known.
                if not link.is_wiki and (link.target.startswith("/") or outside(path, link.target)):
                    continue
                yield path, link, "target"
            elif all(anchor is None for _, anchor in found):
                yield path, link, "anchor"


def outside(path, target):
    return resolver.posixpath.normpath(
        resolver.posixpath.join(resolver.posixpath.dirname(path), target)
    ).startswith("..")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--docs-check", required=True)
    parser.add_argument("--sample", type=int, default=60)
    parser.add_argument("--misses", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("vaults", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    drawn = collections.defaultdict(list)
    for root in map(pathlib.Path.resolve, args.vaults):
        vault = resolver.Vault(root)
        command = [pathlib.Path(args.docs_check).resolve(), "--vault", root, "--json"]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
        findings = [json.loads(line) for line in done.stdout.splitlines()]
        reported = collections.defaultdict(list)
        base = root.resolve()
        for finding in findings:
            path = finding["path"]
            full = pathlib.Path(path) if path.startswith("/") else root / path
            path = str(full.resolve().relative_to(base)) if full.exists() else path
            reported[path].append(finding)
        missed, count = [], 0
        lost = collections.defaultdict(set)
        for path, link, why in broken(vault, programs(root)):
            count += 1
            lost[path].add(link.target if why == "target" else link.anchor.strip())
            what = link.target if why == "target" else link.anchor
            said = (finding["message"] for finding in reported[path])
            if not any(f"`{what.strip()}`" in words or f"`{what.strip().split('#')[-1]}`" in words for words in said):
                missed.append((path, link, why))
        print(f"{root.name}: {len(vault.cards)} cards, {done.stderr.strip().splitlines()[-1:]}, resolver {count} broken, missed {len(missed)}")
        for path, link, why in missed[: args.misses]:
            print(f"  missed {why}: {path}:{link.line}: {link.shown()}")
        for path, all_of_path in reported.items():
            lines = vault.texts.get(path, "").split("\n")
            for finding in all_of_path:
                agrees = any(f"`{target}`" in finding["message"] for target in lost[path] if target)
                line = lines[finding["line"] - 1].strip() if finding["line"] <= len(lines) else ""
                at = max(0, finding["column"] - 40)
                row = (root.name, path, finding["line"], finding["message"], agrees, line[at : at + 160])
                drawn[finding["code"]].append(row)
    rng = random.Random(args.seed)
    for code, rows in sorted(drawn.items()):
        agree = sum(row[4] for row in rows)
        print(f"\n{code}: {len(rows)} findings, the resolver agrees with {agree}")
        by_vault = collections.defaultdict(list)
        for row in rng.sample(sorted(rows), len(rows)):
            by_vault[row[0]].append(row)
        turns = itertools.zip_longest(*(by_vault[name] for name in sorted(by_vault)))
        for row in list(filter(None, itertools.chain(*turns)))[: args.sample]:
            print(f"  {'=' if row[4] else '?'} {row[0]} {row[1]}:{row[2]}: {row[3]}\n      | {row[5]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
