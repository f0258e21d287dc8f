"""The settings: those of default.yml, and what the environment says otherwise.

AUTHENTIK_WEB__WORKERS is `workers` of `web`.
"""

import json
import os
from pathlib import Path


def _defaults() -> dict:
    """As much of YAML as default.yml has: names with values or nothing (`null`), and names with such below them."""
    config = {}
    open_sections = [(-1, config)]
    for line in Path(__file__).with_name("default.yml").read_text().splitlines():
        name, _, value = line.partition(":")
        depth = len(name) - len(name.lstrip())
        while open_sections[-1][0] >= depth:
            open_sections.pop()
        section, name, value = open_sections[-1][1], name.strip(), value.strip()
        if value:
            section[name] = None if value == "null" else value
        else:
            open_sections.append((depth, section.setdefault(name, {})))
    return config


def _load() -> dict:
    config = _defaults()
    for name, value in os.environ.items():
        if name.startswith("AUTHENTIK_"):
            *sections, last = name.removeprefix("AUTHENTIK_").lower().split("__")
            place = config
            for section in sections:
                place = place.setdefault(section, {})
            place[last] = value
    return config


CONFIG = _load()

if __name__ == "__main__":
    print(json.dumps(CONFIG, indent=4))
