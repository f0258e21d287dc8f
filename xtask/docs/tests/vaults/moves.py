#!/usr/bin/env python3
"""Makes random moves in copies of vaults and judges each by `resolver.py`.

    moves.py --docs-move PROGRAM [--moves N] [--seed N] [--show N] VAULT...

Each move renames, moves or merges a card, an image or a folder. Afterwards no link that led somewhere may lead elsewhere
or nowhere, and no byte but those of links may have changed; a refused move changes nothing. Then the move is made back:
which files differ from before is counted, and all links have to lead where they led. The exit code is 1 if one did not.
"""

import argparse
import collections
import os
import pathlib
import posixpath
import random
import re
import shutil
import subprocess
import sys
import tempfile

import resolver

IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".pdf", ".mp4", ".canvas", ".base")
WORDS = ["alpha", "beta two", "Gamma", "50% off", "R&D", "é clair", "it's", "a (b)", "x.y", "index", "Notes", "中文", "_u_v", "e=mc2"]
# What may change: targets of links, and prerequisites.
TARGETS = [
    (re.compile(r"\[\[[^\]|\n]*"), "[["),
    (re.compile(r"\]\((?:[^()\n]|\((?:[^()\n]|\([^()\n]*\))*\))*\)?"), "]("),
    (re.compile(r"\]:[ \t]*\S+"), "]:"),
    (re.compile(r"\"(file|background)\"\s*:\s*\"(?:[^\"\\]|\\.)*\""), r'"\1"'),
    (re.compile(r"(inFolder|hasLink|link|file)\(\"[^\"\n]*"), r"\1("),
]


def masked(text):
    for pattern, mark in TARGETS:
        text = pattern.sub(mark, text)
    return text


def programs(root):
    if (root / ".obsidian").exists():
        return ["obsidian"]
    if (root / "quartz.config.ts").exists():
        return ["quartz"]
    return ["obsidian", "pages"]


class Pages:
    """Forges follow paths; where they lead nowhere, Quartz finds names."""

    def __init__(self, vault):
        self.vault = vault

    def leads(self, source, link, program):
        vault = self.vault
        if program == "obsidian":
            return vault.leads(source, link, "obsidian")
        if program == "quartz" or link.is_wiki or link.kind == "canvas" or not link.target:
            return vault.leads(source, link, "quartz")
        return vault.leads(source, link, "forge") or vault.leads(source, link, "quartz")


def all_leads(vault, names):
    """Where all links lead: by file, for each link its kind and where it leads in each program."""
    pages = Pages(vault)
    return {
        path: [(link, [pages.leads(path, link, name) for name in names]) for link in card.links]
        for path, card in vault.cards.items()
    }


class Judge:
    def __init__(self, root, args, rng):
        self.root, self.args, self.rng = root, args, rng
        self.names = programs(root)
        self.vault = resolver.Vault(root)
        self.counts = collections.Counter()
        self.faults = []
        self.leads = all_leads(self.vault, self.names)
        self.pristine = dict(self.vault.texts)

    def fault(self, what):
        self.faults.append(what)
        print(f"  FAULT {what}", flush=True)

    def run(self, *arguments):
        environment = dict(os.environ, XDG_STATE_HOME=str(self.root.parent / "state"))
        command = [self.args.docs_move, "--vault", self.root, *arguments]
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=300)

    def name(self, old):
        """A new name: quite another one, or the same in another case."""
        kind = self.rng.random()
        if kind < 0.1:
            return old.swapcase()
        if kind < 0.2:
            return self.rng.choice(WORDS)
        return f"{self.rng.choice(WORDS)} {self.rng.randrange(1000)}"

    def folder(self):
        kind = self.rng.random()
        if kind < 0.6:
            return self.rng.choice(sorted(self.vault.folders))
        return posixpath.join(self.rng.choice(sorted(self.vault.folders)), f"new {self.rng.randrange(100)}")

    def move(self):
        """Arguments of a move, where files go by it, and the arguments of the way back."""
        rng, vault = self.rng, self.vault
        cards = sorted(path for path in vault.stats if path.endswith(".md"))
        files = sorted(path for path in vault.stats if path.lower().endswith(IMAGES))
        folders = sorted(folder for folder in vault.folders if folder)
        kinds = ["card"] * 5 + ["merge"] * 2 + ["image"] * 2 * bool(files) + ["folder"] * 2 * bool(folders)
        kind = rng.choice(kinds)
        if kind == "merge":
            old, into = rng.choice(cards), rng.choice(cards)
            return kind, [old, into], {old: into}, None
        if kind == "folder":
            old = rng.choice(folders)
            parent = posixpath.dirname(old) if rng.random() < 0.7 else self.folder()
            new = posixpath.join(parent, self.name(posixpath.basename(old)))
            if new in vault.folders:
                return None
            moved = {path: new + path[len(old) :] for path in vault.stats if path.startswith(old + "/")}
            return kind, [old + "/", new], moved, [new + "/", old]
        old = rng.choice(cards if kind == "card" else files)
        base, ending = posixpath.splitext(posixpath.basename(old))
        new = posixpath.join(
            posixpath.dirname(old) if rng.random() < 0.4 else self.folder(),
            posixpath.basename(old) if rng.random() < 0.3 else self.name(base) + ending,
        )
        if new in vault.stats or new == old or new.rstrip("/") in vault.folders:
            return None
        # A name alone is one in the file's own folder.
        paths = [path if "/" in path else f"./{path}" for path in (old, new)]
        return kind, paths, {old: new}, paths[::-1]

    def is_second(self, name, link, leads):
        """Whether another program follows a link to something else, whose goal counts first: to be said, not kept."""
        first = "obsidian" if link.is_wiki else "pages"
        leads = dict(zip(self.names, leads))
        return name != first and leads.get(first) is not None and leads[first] != leads[name]

    def check(self, what, before, moved, merged=None, said=""):
        """That all links lead where they led; `before` are the leads as they were."""
        self.elsewhere = 0
        after = all_leads(self.vault, self.names)
        old, into = merged or (None, None)
        gone = before.get(old, []) if merged else []
        shift = len(self.vault.cards[into].headings) - self.gone_headings if merged else 0

        def expected(lead):
            if lead is None:
                return None
            path, anchor = lead
            if merged and path == old:
                if anchor == "top":
                    return into, "any"
                if anchor and anchor[0] == "heading":
                    return into, ("heading", anchor[1] + shift)
                return into, anchor
            if merged and path == into and anchor == "top":
                return into, "any"
            # Hidden files go with their folder, too.
            folder = next((old for old in self.folders if path.startswith(old)), None)
            if folder and path not in moved:
                return self.folders[folder] + path[len(folder) :], anchor
            return moved.get(path, path), anchor

        for path, links in before.items():
            if merged and path == old:
                continue
            now = after.get(moved.get(path, path))
            if now is None:
                self.fault(f"{what}: {path} is gone")
                continue
            if merged and path == into:
                links = [link for link in links + gone if link[0].kind != "prop"]
                now = [link for link in now if link[0].kind != "prop"]
            if len(links) != len(now):
                self.fault(f"{what}: {path} had {len(links)} links and has {len(now)}")
                continue
            for (link, was), (link_now, leads) in zip(links, now):
                for name, lead, lead_now in zip(self.names, was, leads):
                    wanted = expected(lead)
                    same = lead_now == wanted or (
                        wanted and lead_now and wanted[1] == "any" and lead_now[0] == wanted[0]
                    )
                    # A path may lead to the folder that moved.
                    if lead and lead[0].endswith("/") and lead_now and lead_now[0].endswith("/"):
                        same = True
                    if lead is None:
                        self.counts["found"] += lead_now is not None
                    elif not same and self.is_second(name, link, was):
                        self.elsewhere += 1
                    elif not same:
                        self.fault(
                            f"{what}: {path}:{link.line}: {link.shown()} -> {link_now.shown()}: in {name} "
                            f"{lead} became {lead_now}, expected {wanted}"
                        )
                    else:
                        self.counts["links"] += 1
        told = sum(map(int, re.findall(r"(\d+) links? leads? elsewhere now", said)))
        self.counts["told to lead elsewhere in the second program"] += self.elsewhere
        if self.elsewhere > told:
            self.fault(f"{what}: {self.elsewhere} links lead elsewhere in the second program, and it says: {said[-300:]}")

    def restore(self):
        """The vault as it was in the beginning."""
        for path in list(self.vault.texts):
            if path not in self.pristine:
                (self.root / path).unlink()
        for path, text in self.pristine.items():
            if self.vault.texts.get(path) != text:
                (self.root / path).parent.mkdir(parents=True, exist_ok=True)
                with open(self.root / path, "w", encoding="utf-8", newline="") as file:
                    file.write(text)
        self.vault.refresh()

    def turn(self):
        made = self.move()
        if made is None:
            return
        kind, arguments, moved, back = made
        what = f"{kind} {arguments}"
        paths = set(self.vault.stats)
        if kind == "merge":
            card = self.vault.cards.get(arguments[0])
            self.gone_headings = len(card.headings) if card else 0
        texts = dict(self.vault.texts)
        done = self.run(*arguments)
        changed = self.vault.refresh()
        if done.returncode != 0:
            self.counts[f"{kind} refused"] += 1
            self.counts["refused: " + re.sub(r"`[^`]*`", "`…`", done.stderr.strip().split("\n")[0])[:110]] += 1
            if done.returncode != 2 or changed:
                self.fault(f"{what}: exit code {done.returncode}, changed {sorted(changed)[:3]}: {done.stderr[:300]}")
                self.restore()
            return
        self.counts[kind] += 1
        merged = tuple(arguments) if kind == "merge" else None
        if not merged and set(self.vault.stats) != {moved.get(path, path) for path in paths}:
            self.fault(f"{what}: other files than expected")
        old, new = arguments[0], arguments[-1].rstrip("/") + "/"
        self.folders = {old: new} if kind == "folder" else {}
        self.check(what, self.leads, moved, merged, done.stderr)
        self.folders = {}
        for path, text in texts.items():
            now = self.vault.texts.get(moved.get(path, path), "")
            if now != text and not (merged and path in arguments) and masked(now) != masked(text):
                self.fault(f"{what}: other bytes of {path} changed")
        if back:
            said = done.stderr
            done = self.run(*back)
            self.vault.refresh()
            if done.returncode != 0:
                self.counts["back refused"] += 1
                print(f"  back refused: {back}: {done.stderr.strip()[:200]}", flush=True)
                self.undo_files(moved)
            else:
                self.check(f"back {back}", self.leads, {}, said=done.stderr + said)
                for path, text in texts.items():
                    now = self.vault.texts.get(path)
                    if now != text:
                        self.counts["other bytes after the way back"] += 1
                        if self.counts["shown"] < self.args.show:
                            self.counts["shown"] += 1
                            lines = zip(text.split("\n"), (now or "").split("\n"))
                            was, is_ = next(((a, b) for a, b in lines if a != b), ("", ""))
                            print(f"  back {what}: {path}: {was[:150]!r} became {is_[:150]!r}", flush=True)
                if set(self.vault.stats) != paths:
                    self.fault(f"back {back}: other files than before")
        self.restore()

    def undo_files(self, moved):
        for old, new in moved.items():
            if (self.root / new).exists() and not new.endswith(".md"):
                (self.root / old).parent.mkdir(parents=True, exist_ok=True)
                (self.root / new).rename(self.root / old)
        self.vault.refresh()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--docs-move", required=True)
    parser.add_argument("--moves", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=5)
    parser.add_argument("vaults", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    args.docs_move = str(pathlib.Path(args.docs_move).resolve())
    total, faults = collections.Counter(), 0
    for vault in args.vaults:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder) / vault.name
            shutil.copytree(vault, root, symlinks=True)
            rng = random.Random(f"{args.seed} {vault.name}")
            judge = Judge(root, args, rng)
            print(f"{vault.name}: {len(judge.vault.cards)} cards, {'+'.join(judge.names)}", flush=True)
            while sum(judge.counts[kind] + judge.counts[f"{kind} refused"] for kind in ("card", "image", "folder", "merge")) < args.moves:
                judge.turn()
            shown = ", ".join(f"{name} {count}" for name, count in sorted(judge.counts.items()) if name != "shown")
            print(f"  {shown}; {len(judge.faults)} faults", flush=True)
            total.update(judge.counts)
            faults += len(judge.faults)
    made = sum(total[kind] for kind in ("card", "image", "folder", "merge"))
    print(f"{made} moves made, {total['links']} links compared, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
