"""Where the links of a vault lead, found out by other means than in the crates: markdown-it-py reads the cards, and
links are followed by Obsidian's rules as they were observed, and by those of Quartz's source.

Only tests use it: `moves.py` and `findings.py` beside it judge docs-move and docs-check by it.
"""

import json
import os
import posixpath
import re
import unicodedata
import urllib.parse

from markdown_it import MarkdownIt

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
PUNCTUATION = re.compile(r"[\s!\"#$%&()*+,.:;<=>?@^`{|}~/\[\]\\]+")


class Link:
    """A link: its kind (wiki, embed, md, img, prop, canvas), target and anchor, and the line of its paragraph."""

    __slots__ = ("kind", "target", "anchor", "line")

    def __init__(self, kind, target, anchor, line):
        self.kind, self.target, self.anchor, self.line = kind, target, anchor, line

    @property
    def is_wiki(self):
        return self.kind in ("wiki", "embed", "prop")

    def shown(self):
        return f"{self.kind} {self.target}" + (f"#{self.anchor}" if self.anchor is not None else "")


class Card:
    """What a file holds: its links in order, its headings (level, text) and the ids of its blocks."""

    __slots__ = ("links", "headings", "blocks", "last_blocks", "ids", "aliases", "is_draft")

    def __init__(self):
        self.links, self.headings, self.ids, self.aliases = [], [], set(), []
        # At the ends of lines, and of these at the ends of blocks: Quartz has no others.
        self.blocks, self.last_blocks = set(), set()
        self.is_draft = False


def wiki(state, silent):
    """A wiki link, which may not run over lines."""
    start = state.pos
    mark = state.src[start : start + 3]
    embed = mark.startswith("![[")
    if not (embed or mark.startswith("[[")):
        return False
    begin = start + (3 if embed else 2)
    end = state.src.find("]]", begin)
    if end < 0:
        return False
    inside = state.src[begin:end]
    # `[[1]](url)` is an ordinary link; in `[[two factors]](2FA)` a word in parentheses follows one.
    rest = state.src[end + 2 :]
    if not embed and rest.startswith("(") and ")" in rest:
        if inside.isdigit() or not rest[1 : rest.index(")")].isalnum():
            return False
    if "\n" in inside or "[" in inside.split("|")[0] or not inside.strip():
        return False
    if not silent:
        token = state.push("wiki", "", 0)
        token.meta = {"embed": embed, "inside": inside}
    state.pos = end + 2
    return True


def math(state, silent):
    """Math between dollars."""
    src, start = state.src, state.pos
    if src[start] != "$":
        return False
    if src.startswith("$$", start):
        end = src.find("$$", start + 2)
        length = 2
    else:
        end = start + 1
        if end >= len(src) or src[end].isspace():
            return False
        while True:
            end = src.find("$", end + 1)
            if end < 0:
                return False
            if not src[end - 1].isspace() and src[end - 1] != "\\" and not src[end + 1 : end + 2].isdigit():
                break
        length = 1
    if end < 0:
        return False
    if not silent:
        token = state.push("math", "", 0)
        token.content = src[start : end + length]
    state.pos = end + length
    return True


MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
MARKDOWN.inline.ruler.before("escape", "math", math)
MARKDOWN.inline.ruler.before("link", "wiki", wiki)
MARKDOWN.normalizeLink = lambda url: url
MARKDOWN.validateLink = lambda url: True


def split_target(text):
    target, mark, anchor = text.partition("#")
    return target, anchor if mark else None


def uncommented(text):
    """The text without what is between `%%`, outside of fences; lines stay lines."""
    out, fence, hidden = [], None, False
    for line in text.split("\n"):
        opened = re.match(r"[ >\t]*(```+|~~~+)", line)
        if fence:
            if opened and opened[1].startswith(fence) and not line.strip(" >\t").strip(fence[0]):
                fence = None
            out.append("" if hidden else line)
            continue
        if opened and not hidden and not ("`" in line.strip(" >\t").lstrip("`") and opened[1][0] == "`"):
            fence = opened[1]
            out.append(line)
            continue
        kept, code = "", False
        for part in re.split(r"(%%|`+)", line):
            if part.startswith("`"):
                code = not code
            if part == "%%" and not code:
                hidden = not hidden
                continue
            if not hidden:
                kept += part
        out.append(kept)
    # What is not closed hides nothing.
    return text if hidden else "\n".join(out)


def front_matter(text):
    match = re.match(r"---[ \t]*\n(.*?\n)?(---|\.\.\.)[ \t]*(\n|$)", text, re.S)
    return (match[1] or "", match.end()) if match else ("", 0)


def aliases(front):
    """The other names of a card, as its front matter lists them."""
    found, inside = [], False
    for line in front.split("\n"):
        match = re.match(r"(aliases|alias|permalink):\s*(.*)$", line)
        if match:
            found += [part.strip(" \"'[]") for part in match[2].split(",")]
        elif inside and re.match(r"\s*-\s", line):
            found.append(line.strip()[1:].strip(" \"'"))
        inside = bool(match) or inside and line.startswith((" ", "-"))
    return [name.strip("/") for name in found if name]


def read_card(text):
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    card = Card()
    front, body = front_matter(text)
    for number, line in enumerate(front.split("\n")):
        for match in re.finditer(r"(?:[:\[,-]\s*)([\"'])\[\[([^\[\]\\]+?)\]\]\1", line):
            inside = match[2].replace("''", "'") if match[1] == "'" else match[2]
            target, anchor = split_target(inside.split("|")[0])
            card.links.append(Link("prop", target.strip(), anchor, number + 2))
    card.aliases = aliases(front)
    card.is_draft = re.search(r"(?m)^draft:\s*[\"']?true[\"']?\s*$", front) is not None
    offset = text[:body].count("\n")
    text = uncommented(text[body:])
    # A footnote's text is no definition of a link.
    text = re.sub(r"(?m)^([ >\t]*(?:[-*+] |\d+[.)] )?)\[\^([^\]\s]+)\]:", r"\1(\2)", text)
    tokens = MARKDOWN.parse(text)
    heading, is_cell = None, False
    for token in tokens:
        if token.type in ("td_open", "td_close", "th_open", "th_close"):
            is_cell = token.type.endswith("open")
        if token.type == "heading_open":
            heading = int(token.tag[1])
        if token.type in ("html_block",):
            card.ids.update(re.findall(r"(?:id|name)=[\"']([^\"']+)", token.content))
        if token.type != "inline":
            continue
        line = offset + (token.map[0] + 1 if token.map else 1)
        words = []
        for child in token.children:
            if child.type == "wiki":
                inside = child.meta["inside"]
                shown = re.split(r"\\?\|", inside)
                target, anchor = split_target(shown[0])
                card.links.append(
                    Link("embed" if child.meta["embed"] else "wiki", target.strip(), anchor, line)
                )
                words.append(shown[1] if len(shown) > 1 else inside)
            elif child.type in ("link_open", "image"):
                url = child.attrs.get("href" if child.type == "link_open" else "src", "")
                url = str(url)
                if not SCHEME.match(url) and not url.startswith("//") and url:
                    target, anchor = split_target(url)
                    target = urllib.parse.unquote(target.split("?")[0])
                    anchor = urllib.parse.unquote(anchor.split("?")[0]) if anchor is not None else None
                    card.links.append(Link("md" if child.type == "link_open" else "img", target, anchor, line))
                if child.type == "image":
                    words.append(child.content)
            elif child.type in ("text", "code_inline", "math"):
                words.append(child.content)
            elif child.type in ("softbreak", "hardbreak"):
                words.append(" ")
            elif child.type == "html_inline":
                card.ids.update(re.findall(r"(?:id|name)=[\"']([^\"']+)", child.content))
        words = "".join(words)
        parts = token.content.split("\n")
        for part in parts:
            block = re.search(r"(?:^|\s|\W)\^([A-Za-z0-9_-]+)\s*$", part)
            if block:
                card.blocks.add(block[1])
                if part is parts[-1] and not is_cell:
                    card.last_blocks.add(block[1])
        if heading:
            card.headings.append((heading, re.sub(r"\s\^[A-Za-z0-9-]+$", "", words.strip())))
            heading = None
    return card


def read_canvas(text):
    card = Card()
    try:
        nodes = json.loads(text.removeprefix("\ufeff") or "{}").get("nodes", [])
    except (ValueError, AttributeError):
        return card
    for node in nodes:
        if isinstance(node.get("file"), str):
            card.links.append(Link("canvas", node["file"], (node.get("subpath") or "#")[1:] or None, 1))
        if isinstance(node.get("background"), str):
            card.links.append(Link("canvas", node["background"], None, 1))
        if isinstance(node.get("text"), str):
            card.links.extend(read_card(node["text"]).links)
    return card


def key(text):
    return PUNCTUATION.sub(" ", unicodedata.normalize("NFC", text)).strip().lower()


def slug(text):
    """As github-slugger makes it, for one heading."""
    kept = []
    for c in text.strip().lower():
        if c in " \t":
            kept.append("-")
        elif c in "-_" or unicodedata.category(c)[0] in "LM" or unicodedata.category(c) in ("Nd", "Nl", "Pc"):
            kept.append(c)
    return "".join(kept)


def slugs(headings):
    seen, all_slugs = {}, []
    for _, text in headings:
        own = name = slug(text)
        while name in seen:
            seen[own] += 1
            name = f"{own}-{seen[own]}"
        seen[name] = 0
        all_slugs.append(name)
    return all_slugs


class Vault:
    """All files of a folder, hidden ones left out; `cards` are read."""

    def __init__(self, root):
        self.root, self.stats, self.cards, self.texts = str(root), {}, {}, {}
        self.refresh()

    def refresh(self):
        """Reads what has changed; the paths of it."""
        changed, stats = set(), {}
        for folder, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in files:
                if name.startswith("."):
                    continue
                full = os.path.join(folder, name)
                data = os.stat(full, follow_symlinks=False)
                stats[os.path.relpath(full, self.root)] = (data.st_mtime_ns, data.st_size, data.st_ino)
        for path, data in stats.items():
            if self.stats.get(path) != data:
                changed.add(path)
                self.read(path)
        for path in self.stats.keys() - stats.keys():
            changed.add(path)
            self.cards.pop(path, None)
            self.texts.pop(path, None)
        self.stats = stats
        if changed or not hasattr(self, "names"):
            self.index()
        return changed

    def read(self, path):
        if not path.endswith((".md", ".canvas", ".base")):
            return
        try:
            with open(os.path.join(self.root, path), encoding="utf-8", newline="") as file:
                text = file.read()
        except (UnicodeDecodeError, OSError):
            return
        self.texts[path] = text
        if path.endswith(".md"):
            self.cards[path] = read_card(text)
        elif path.endswith(".canvas"):
            self.cards[path] = read_canvas(text)

    def index(self):
        self.names, self.folders = {}, {""}
        for path in self.stats:
            self.names.setdefault(path.rsplit("/", 1)[-1].lower(), []).append(path)
            folder = posixpath.dirname(path)
            while folder not in self.folders:
                self.folders.add(folder)
                folder = posixpath.dirname(folder)
        self.lower = {path.lower(): path for path in self.stats}
        self.slugs, self.last, self.aliases = {}, {}, {}
        for path, card in self.cards.items():
            for name in card.aliases:
                same = self.aliases.setdefault(name.lower(), path)
                # What several have leads nowhere.
                self.aliases[name.lower()] = path if same == path else None
        for path in self.stats:
            name = full_slug(path)
            self.slugs.setdefault(name, path)
            self.last.setdefault(name.rsplit("/", 1)[-1], []).append(name)

    # Obsidian

    def obsidian(self, source, target):
        """Exact path, then own folder, then the shortest path; case does not count."""
        if target.startswith(("./", "../")):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target)).lower()
            return self.lower.get(path) or self.lower.get(path + ".md")
        wanted = target.strip("/").lower()
        if not wanted:
            return None
        for ending in ("", ".md"):
            whole = wanted + ending
            found = self.names.get(whole.rsplit("/", 1)[-1], [])
            found = [path for path in found if ("/" + path.lower()).endswith("/" + whole)]
            if found:
                own = posixpath.dirname(source)
                return min(
                    found,
                    key=lambda path: (
                        path.lower() != whole,
                        posixpath.dirname(path) != own,
                        path.count("/"),
                        len(path),
                        path,
                    ),
                )
        return None

    # Forges

    def forge(self, source, target):
        """A path from the card; a page may be written without its ending."""
        if target.startswith("/"):
            path = posixpath.normpath(target.strip("/") or ".")
        else:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        # A site has its pages at `x.html`.
        for candidate in (path, path + ".md", path.removesuffix(".html") + ".md"):
            if candidate in self.stats:
                return candidate
        if path in self.folders:
            return path + "/"
        if (path.startswith("..") or "/." in f"/{path}") and os.path.exists(os.path.join(self.root, path)):
            return path
        return None

    # Quartz

    def quartz(self, source, target):
        """`transformLink` of quartz/util/path.ts with the strategy "shortest"."""
        is_folder = target.endswith("/") or re.search(r"(^|/)index(\.md|\.html)?$", target)
        parts = [part for part in target.split("/") if part]
        climbs = [part for part in parts if part in (".", "..")]
        rest = "/".join(part for part in parts if part not in (".", ".."))
        wanted = full_slug(rest)
        wanted = re.sub(r"(^|/)index$", r"\1", wanted).strip("/")
        if ".." not in climbs and not is_folder:
            same = self.last.get(wanted, [])
            if len(same) == 1:
                return self.slugs[same[0]]
        for page in (wanted, posixpath.join(wanted, "index")):
            if page in self.slugs:
                return self.slugs[page]
        alias = self.aliases.get(target.removesuffix(".md").strip("/").lower())
        # Each folder has a page.
        return alias or (rest.strip("/") + "/" if rest.strip("/") in self.folders else None)

    # Anchors

    def anchor(self, path, link, program):
        """What an anchor leads to: ("heading", number), ("block", id), "top" or None."""
        anchor = (link.anchor or "").strip()
        if not anchor:
            return "top"
        card = self.cards.get(path)
        if card is None:
            return "top"
        if "^" in anchor and anchor.rsplit("#", 1)[-1].startswith("^"):
            block = anchor.rsplit("^", 1)[1]
            blocks = card.blocks if program == "obsidian" else card.last_blocks
            return ("block", block) if block in blocks else None
        if program == "obsidian":
            start, level, found = 0, 0, None
            for part in filter(str.strip, anchor.split("#")):
                found = None
                for number in range(start, len(card.headings)):
                    if card.headings[number][0] <= level:
                        break
                    if key(card.headings[number][1]) == key(part):
                        found = number
                        break
                if found is None:
                    return None
                start, level = found + 1, card.headings[found][0]
            return ("heading", found)
        name = slug(anchor)
        known = slugs(card.headings)
        if name in known:
            return ("heading", known.index(name))
        return ("id", anchor) if anchor in card.ids else None

    def leads(self, source, link, program):
        """Where a link leads in a program: (path, anchor), or None."""
        if link.kind == "canvas":
            path = link.target if link.target in self.stats else None
            program = "obsidian"
        elif not link.target:
            path = source
        else:
            path = getattr(self, program)(source, link.target)
        if path is None:
            return None
        return path, self.anchor(path, link, program)


def full_slug(path):
    """`slugifyFilePath`: as Quartz names a page or a file."""
    ending = re.search(r"\.[A-Za-z0-9]+$", path)
    ending = ending[0] if ending else ""
    base = path[: len(path) - len(ending)]
    if ending in (".md", ".html"):
        ending = ""
    parts = [
        re.sub(r"[?#]", "", re.sub(r"\s", "-", part).replace("&", "-and-").replace("%", "-percent"))
        for part in base.split("/")
    ]
    name = "/".join(parts).rstrip("/")
    return re.sub(r"(^|/)_index$", r"\1index", name) + ending
