#!/usr/bin/env python3
"""check_behaviours: docs/internals/behaviours.md and bug_classes.md name tests that exist.

In a table with a column whose head has the word "test" in it, each name in backquotes there must be
  Suite.name     of TEST(Suite, name), TEST_F or TEST_P somewhere in weft/ or tests/
  program        a CTest entry that CMake makes of a file: `allocations`, `channel.mpmc_model`, `queue.stress`
and a row without any such name must say why: "does not apply: ...", "comes with ...". It reads the sources and
builds nothing. --self-test plants one mistake of each kind and expects to find them, and nothing else.
"""
import argparse
import re
import sys
import tempfile
from pathlib import Path

PAGES = ("behaviours.md", "bug_classes.md")
TEST = re.compile(r"^\s*(?:TYPED_)?TEST(?:_F|_P)?\s*\(\s*(\w+)\s*,\s*(\w+)\s*\)", re.M)
PROGRAM = re.compile(r"weft_add_test_program\s*\(\s*(\w+)|weft_register\s*\(\s*([\w.]+)")
QUOTED = re.compile(r"`([^`]+)`")
NAME = re.compile(r"(?:\w+/)?\w+(?:\.\w+)?(?:/\w+)?$")  # with gtest's words for parameters, or without
REASON = re.compile(r"does not apply: \S|comes with \S")


def known(root):
    names = set()
    for folder in ("weft", "tests"):
        for path in (root / folder).rglob("*.cpp"):
            names.update(".".join(pair) for pair in TEST.findall(path.read_text(errors="replace")))
    for path in (root / "weft").rglob("*.cpp"):
        kind = re.search(r"_(test|stress|model|fuzz)$", path.stem)
        if kind:
            layer = str(path.parent.relative_to(root / "weft"))
            names.add({"test": layer, "stress": f"{layer}.stress"}.get(kind[1], f"{layer}.{path.stem}"))
    for path in [*(root / "tests").rglob("CMakeLists.txt"), *(root / "cmake").glob("*.cmake")]:
        names.update(filter(None, (n for pair in PROGRAM.findall(path.read_text()) for n in pair)))
    return names


def cells(line):
    return [c.strip() for c in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def problems(page, names):
    column = head = None
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if not line.lstrip().startswith("|"):
            column = head = None
            continue
        row = cells(line)
        if head is None:
            head = row
            column = next((i for i, c in enumerate(row) if re.search(r"\btests?\b", c)), None)
            continue
        if column is None or not line.strip("|-: \t"):
            continue
        where = f"{page}:{number}: "
        if len(row) != len(head):
            yield where + f"{len(row)} cells in a table of {len(head)}"
            continue
        quoted = [q for q in QUOTED.findall(row[column]) if NAME.match(q)]
        found = [q for q in quoted if q.split("/")[-2 if re.search(r"\.\w+/\w+$", q) else -1] in names]
        for name in quoted:
            # In a reason other things may stand in backquotes, but what looks like a test has to be one.
            if name not in found and ("." in name or not REASON.search(row[column])):
                yield where + f"there is no test {name}"
        if not found and not REASON.search(" ".join(row[column:])):
            yield where + "no test, and no reason: write `Suite.name`, or \"does not apply: why\""


def check(root):
    pages = [p for p in (root / "docs/internals" / name for name in PAGES) if p.exists()]
    names = known(root)
    return [p for page in pages for p in problems(page, names)]


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("weft/sync", "tests/stops", "cmake", "docs/internals"):
            (root / name).mkdir(parents=True)
        (root / "weft/sync/a_test.cpp").write_text("TEST_P(some,\n     thing) {}\nTEST(s, t) {}\n")
        (root / "weft/sync/a_model.cpp").write_text("")
        (root / "tests/stops/CMakeLists.txt").write_text("weft_add_test_program(stops_stress a.cpp)\n")
        (root / "docs/internals/behaviours.md").write_text(
            "| theirs | weft's test |\n|---|---|\n"
            "| a | `some.thing`, `w/s.t/0`, `sync.a_model`, `stops_stress`, `sync` |\n"
            "| b | does not apply: `x()` and `just` are others |\n"
            "| c | `some.other` |\n| d | `nothing` |\n| e | it is so |\n| f | `s.t` | more |\n"
            "| g | does not apply: see `s.u` |\n\n| no | column |\n|---|---|\n| `q.r` | |\n")
        found = [re.search(r":(\d+):", p)[1] for p in check(root)]
        if found != ["5", "5", "6", "6", "7", "8", "9"]:
            print("\n".join(check(root)))
            return f"found mistakes in lines {found}"
    return None


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    arguments.add_argument("--self-test", action="store_true")
    options = arguments.parse_args()
    if options.self_test:
        return self_test()
    found = check(options.root)
    return "\n".join(found) if found else None


if __name__ == "__main__":
    sys.exit(main())
