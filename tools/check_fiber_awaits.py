#!/usr/bin/env python3
"""check_fiber_awaits: each public awaitable is awaited in a fiber by some test.

The public awaitables are those of check_cancel_rows.py. A row is its name, called, between the brackets of an
await(...) in a test of weft/fiber or tests/. What has none must stand in WITHOUT below with the reason, and what
stands there must be an awaitable that has none. It reads the sources and builds nothing. --list shows where each one
is; --self-test plants one mistake of each kind and expects to find them, and nothing else.
"""
import argparse
import re
import sys
import tempfile
from pathlib import Path

import check_cancel_rows
from check_cancel_rows import TEST_FILE, awaitables

# name of a function, or file:name where others of that name have a row
WITHOUT = {
    "backtrace": "never waits",
    "respond": "a program's own",
    "shut_down": "shutdown_write() of either kind; buffered_writer's has a row",
    "serve_per_worker": "needs several workers, and the rows have one; serve() has a row",
    "until_it_ends": "a part of serve_per_worker()",
    "attempt_to_connect": "a part of tcp_stream::connect(host, port), which has a row",
    "connect_to_first": "as attempt_to_connect",
    "connect_unix": "a part of connect() of the unix sockets, which has a row",
    "sleep_in": "a part of what waits in shared memory, which has rows",
    "on_exit": "never waits, and is for a scope's body and children, which a fiber is not",
}

AWAIT = re.compile(r"\bawait\(")


def between_brackets(text):
    """Of each await(...)."""
    for m in AWAIT.finditer(text):
        depth, at = 1, m.end()
        while depth and at < len(text):
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        yield text[m.end():at]


def check(root, without, show=False):
    rows = ""
    for folder in ("weft/fiber", "tests"):
        for path in (root / folder).rglob("*_test.cpp"):
            text = re.sub(r"//.*", "", path.read_text(errors="replace"))
            rows += "\n".join(between_brackets(re.sub(r"\bco_await\b[^;]*;", ";", text)))  # of coroutines inside
    unused = set(without)
    for path in sorted((root / "weft").rglob("*.hpp")):
        where = path.relative_to(root / "weft").as_posix()
        if TEST_FILE.search(path.name) or where.startswith("testing/"):
            continue
        for name in sorted(awaitables(path)):
            has_row = re.search(rf"\b{name}\s*(<[^;()]*>)?\s*\(", rows) is not None
            if show:
                print(f"{where}: {name}{'' if has_row else '  (no row)'}")
            entry = f"{where}:{name}" if f"{where}:{name}" in without else name
            if entry in without:
                unused.discard(entry)
                if has_row and entry == name:
                    yield f"{name} is awaited in a fiber now; take it out of WITHOUT"
            elif not has_row:
                yield (f"weft/{where}: no test of weft/fiber awaits {name}() in a fiber: give it a row there, or a "
                       "reason in WITHOUT of tools/check_fiber_awaits.py")
    for entry in sorted(unused):
        yield f"{entry} stands in WITHOUT, but there is no such awaitable"


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "weft/sync").mkdir(parents=True)
        (root / "weft/fiber").mkdir()
        (root / "tests").mkdir()
        (root / "weft/sync/a.hpp").write_text(
            'namespace weft {\nclass a {\n public:\n  [[nodiscard("co_await it")]] waiting wait() noexcept;\n'
            '  [[nodiscard("co_await it")]] waiting in_a_coroutine() noexcept;\n'
            '  [[nodiscard("co_await it")]] waiting beside_one() noexcept;\n};\n'
            'task<> excused();\ntask<int> tested();\ntask<> inside();\n}\n')
        (root / "weft/sync/a_test.cpp").write_text("await(x.in_a_coroutine());\n")
        (root / "weft/fiber/a_test.cpp").write_text(
            "await(f([] { return inside(); }, x.wait())); beside_one(); await(tested());\n"
            "co_await x.in_a_coroutine();  // await(x.in_a_coroutine())\n")
        found = sorted(p.split(" awaits ")[-1].replace("()", "").split(" ")[0]
                       for p in check(root, {"excused": "why", "tested": "why", "gone": "why"}))
        if found != ["beside_one", "gone", "in_a_coroutine", "tested"]:
            return f"found {found}"
    return None


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--root", type=Path, default=Path(check_cancel_rows.__file__).resolve().parent.parent)
    arguments.add_argument("--list", action="store_true")
    arguments.add_argument("--self-test", action="store_true")
    options = arguments.parse_args()
    if options.self_test:
        return self_test()
    found = list(check(options.root, WITHOUT, options.list))
    return "\n".join(found) if found else None


if __name__ == "__main__":
    sys.exit(main())
