#!/usr/bin/env python3
"""check_models: docs/internals/models.md names each file of weft/ that has a weft::atomic, and models that exist.

A row's first cell has files in backquotes, below weft/; its last one models, as CTest names them
(`queue.idle_model`), or "none: why". It reads the sources and builds nothing. --self-test plants one mistake
of each kind and expects to find them, and nothing else.
"""
import argparse
import re
import sys
import tempfile
from pathlib import Path

PAGE = "docs/internals/models.md"
NOT_SHIPPED = re.compile(r"_(test|stress|model|fuzz|bench)(_support)?$")
QUOTED = re.compile(r"`([^`]+)`")


def with_atomics(weft):
    for path in sorted([*weft.rglob("*.hpp"), *weft.rglob("*.cpp")]):
        name = path.relative_to(weft).as_posix()
        if NOT_SHIPPED.search(path.stem) or name.startswith("testing/") or name == "base/atomic.hpp":
            continue
        if re.search(r"\batomic<", re.sub(r"//.*", "", path.read_text(errors="replace"))):
            yield name


def check(root):
    weft = root / "weft"
    wanted = set(with_atomics(weft))
    models = {".".join(p.relative_to(weft).with_suffix("").parts) for p in weft.rglob("*_model.cpp")}
    named = set()
    for number, line in enumerate((root / PAGE).read_text().splitlines(), 1):
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if not line.startswith("| `") or len(cells) != 3:
            continue
        where = f"{PAGE}:{number}: "
        for file in QUOTED.findall(cells[0]):
            named.add(file)
            if file not in wanted:
                yield where + f"weft/{file} has no weft::atomic, or is not there"
        in_last = [q for q in QUOTED.findall(cells[2]) if q.endswith("_model")]
        for model in in_last:
            if model not in models:
                yield where + f"there is no model {model}"
        if not in_last and not re.match(r"none: \S", cells[2]):
            yield where + 'no model, and no reason: write `layer.x_model`, or "none: why"'
    for file in sorted(wanted - named):
        yield f"weft/{file} has a weft::atomic: give it a row in {PAGE}, with its model or a reason"


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("weft/queue", "docs/internals"):
            (root / name).mkdir(parents=True)
        for name in "abcdef":
            (root / f"weft/queue/{name}.hpp").write_text("atomic<int> x;\n" if name != "d" else "// atomic<int>\n")
        (root / "weft/queue/a_model.cpp").write_text("atomic<int> y;\n")
        (root / PAGE).write_text(
            "| file | what | model |\n|---|---|---|\n| `queue/a.hpp` | x | `queue.a_model` |\n"
            "| `queue/b.hpp` | x | none: a hint |\n| `queue/c.hpp` | x | `queue.c_model` |\n"
            "| `queue/d.hpp` | x | `queue.a_model` |\n| `queue/e.hpp` | x | none |\n")
        found = [re.match(r"docs/[^:]*:(\d+)|weft/(\S+)", p).groups() for p in check(root)]
        if found != [("5", None), ("6", None), ("7", None), (None, "queue/f.hpp")]:
            return f"found {found}"
    return None


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    arguments.add_argument("--self-test", action="store_true")
    options = arguments.parse_args()
    if options.self_test:
        return self_test()
    found = list(check(options.root))
    return "\n".join(found) if found else None


if __name__ == "__main__":
    sys.exit(main())
