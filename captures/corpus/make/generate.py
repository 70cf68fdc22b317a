#!/usr/bin/env python3
"""Makes every generated capture of the corpus, and captures/README.md for all of them.

    generate.py              write the captures and the index (needs python3 and the zstd program, nothing else)
    generate.py --check      write nothing; fail if a file or the index would change
    generate.py NAME...      only these captures, and the index

The same bytes on every run. Rows of captures from live traffic come from the `# capture` lines of lab.sh.
"""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
CORPUS = HERE.parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

import basics, overlays, tunnels, services, faults, formats  # noqa: E401,F401  each registers its captures
from scene import CAPTURES

HEADER = """# The capture corpus

The captures of `corpus/`: small, made by this project, one question each. Made by the scripts in [corpus/make/](corpus/make/README.md), which also write
this page: change the note there, then run `corpus/make/generate.py`. Packets are numbered from 1. Generated captures keep the
hosts of `corpus/make/scene.py`: underlay 10.88.0.1 and 10.88.0.2, tenants 10.0.0.1 and 10.0.0.2. Expected decodes, and what becomes
of each packet on the host of `corpus/host/` (10.88.0.2), as `overlay-replay engine` says it: `corpus/golden/`.

| capture | made by | what it shows |
|---|---|---|
"""


def lab_notes():
    """The `# capture FILE: TEXT` lines of lab.sh, with the section they stand in."""
    rows, section = [], ""
    for line in (HERE / "lab.sh").read_text().splitlines():
        if found := re.match(r"section_(\w+)\(\)", line):
            section = found[1]
        elif found := re.match(r"\s+# capture (\S+): (.+)", line):
            rows.append((found[1], f"lab.sh {section}", found[2]))
    return rows


def index():
    rows = [(filename, f"{function.__module__}.{function.__name__}", note) for filename, function, _, note in CAPTURES]
    rows += [row for row in lab_notes() if (CORPUS / row[0]).exists()]
    return HEADER + "".join("| {} | {} | {} |\n".format(*(cell.replace("|", "\\|") for cell in row)) for row in sorted(rows))


def main(arguments):
    check = "--check" in arguments
    wanted = [a for a in arguments if not a.startswith("--")]
    names = [filename for filename, *_ in CAPTURES]
    twice = {n for n in names if names.count(n) > 1}
    if twice:
        sys.exit(f"{', '.join(sorted(twice))}: registered twice; a capture has one maker")
    unknown = [w for w in wanted if w not in names]
    if unknown:
        sys.exit(f"{unknown[0]}: no such generated capture; captures/README.md lists them")
    made = {filename: make() for filename, _, make, _ in CAPTURES if not wanted or filename in wanted}
    made["../README.md"] = index().encode()
    stale = [
        filename for filename, content in made.items() if not (CORPUS / filename).exists() or (CORPUS / filename).read_bytes() != content
    ]
    for filename in stale:
        if not check:
            (CORPUS / filename).write_bytes(made[filename])
        print(f"{'differs' if check else 'wrote'} {filename} {len(made[filename])} bytes")
    print(f"{len(made)} files, {len(stale)} {'differ' if check else 'changed'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
