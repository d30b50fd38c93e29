#!/usr/bin/env python3
"""check_cancel_rows: each public awaitable is stopped at each of its awaits by some test.

A public awaitable is a function that a public header of weft/ declares with [[nodiscard("co_await it")]], or
that returns a task; not in a namespace detail, nor private. A row is its name, called, in a test that calls
cancel_everywhere(). What has none must stand in WITHOUT below with the reason, and what stands there must be
an awaitable that has none. It reads the sources and builds nothing. --list shows where each one is;
--self-test plants one mistake of each kind and expects to find them, and nothing else.
"""
import argparse
import re
import sys
import tempfile
from pathlib import Path

# name of a function, or file:name where others of that name have a row
WITHOUT = {
    "backtrace": "never waits, so no stop is found in it",
    "respond": "a program's own; how the server stops it: weft/http/cancel_everywhere_test.cpp",
    "shut_down": "shutdown_write() of either kind; buffered_writer's has a row",
    "serve_per_worker": "needs several workers, and the harness has one; serve() has a row",
    "until_it_ends": "a part of serve_per_worker()",
    "attempt_to_connect": "a part of tcp_stream::connect(host, port), which has rows",
    "connect_to_first": "as attempt_to_connect; stopped by hand in weft/net/happy_eyeballs_test.cpp",
    "connect_unix": "a part of connect() of the unix sockets, which have rows",
    "sleep_in": "a part of what waits in shared memory, which has rows",
}

NODISCARD = re.compile(r'\[\[nodiscard\("co_await[^\]]*\]\]')
TASK = re.compile(r"(?:^|[\s(])(?:weft::)?task<(?:[^<>;(){}]|<(?:[^<>]|<(?:[^<>]|<[^<>]*>)*>)*>)*>\s+(\w+)\s*\(", re.M)
CALLED = re.compile(r"(\w+)\s*\(")
KEYWORDS = {"requires", "noexcept", "decltype", "explicit", "sizeof", "alignas", "operator", "class", "struct"}
TEST_FILE = re.compile(r"_(test|stress|model|fuzz|bench)(_support)?\.hpp$")


def public_text(text):
    """Without comments, namespaces detail, and what is private; lines stay."""
    out, access, inside = [], {}, None  # access: by the labels' indentation, of each class that is open
    for line in text.splitlines():
        if inside is None and re.match(r"namespace (weft::(\w+::)*)?detail\b.*\{", line):
            inside = True
        elif inside and re.match(r"\}\s*// namespace (\w+::)*detail", line):
            inside = None
        line = re.sub(r"//.*", "", line)
        indent = len(line) - len(line.lstrip())
        if re.match(r"\s*\}", line):
            access = {at: kind for at, kind in access.items() if at < indent}
        label = re.match(r"\s+(public|private|protected):", line)
        if label:
            access[indent] = label[1]
        out.append("" if inside or any(kind != "public" for kind in access.values()) else line)
        if re.match(r"\s*(template\b.*)?class\b[^;]*\{\s*$", line) and "enum" not in line:
            access[indent + 1] = "private"
    return "\n".join(out)


def awaitables(path):
    text = public_text(path.read_text())
    names = set(TASK.findall(text))
    for m in NODISCARD.finditer(text):
        rest = text[m.end():]
        if re.match(r"\s*(\w+\s*(<[^>]*>)?\s*(final)?\s*[:{])", rest):  # of a class
            continue
        rest = re.sub(r"requires\s*\([^;{]*?\)\s*\n", " ", rest[:600])
        for name in CALLED.findall(rest):
            if name not in KEYWORDS:
                names.add(name)
                break
    return names - KEYWORDS


def check(root, without, show=False):
    rows = ""
    for folder in ("weft", "tests"):
        for path in (root / folder).rglob("*_test.cpp"):
            text = path.read_text(errors="replace")
            if "cancel_everywhere(" in text:
                rows += re.sub(r"//.*", "", text)
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
                    yield f"{name} has a row of cancel_everywhere() now; take it out of WITHOUT"
            elif not has_row:
                yield (f"weft/{where}: {name}() is in no test that calls cancel_everywhere(): give it a row there, "
                       "or a reason in WITHOUT of tools/check_cancel_rows.py")
    for entry in sorted(unused):
        yield f"{entry} stands in WITHOUT, but there is no such awaitable"


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "weft/sync").mkdir(parents=True)
        (root / "tests").mkdir()
        (root / "weft/sync/a.hpp").write_text(
            'namespace weft {\nnamespace detail {\ntask<> hidden();\n}  // namespace detail\n'
            'class a {\n public:\n  [[nodiscard("co_await it")]] waiting wait() noexcept;\n'
            '  [[nodiscard("co_await it")]]\n  waiting forgotten() noexcept;\n private:\n  task<> secret();\n};\n'
            'class [[nodiscard("co_await it")]] waiting final : public op<waiting> {\n};\n'
            'template <class T>\ntask<result<std::pair<int, T>>> also_forgotten(T t);\ntask<> excused();\n'
            'task<int> tested();\n}\n')
        (root / "weft/sync/a_test.cpp").write_text(
            "cancel_everywhere(x); a.wait(); tested();  // forgotten()\n")
        (root / "weft/sync/b_test.cpp").write_text("forgotten(); also_forgotten(1);\n")
        found = [p.split(" ")[1 if p.startswith("weft/") else 0]
                 for p in check(root, {"excused": "why", "tested": "why", "gone": "why"})]
        if sorted(found) != ["also_forgotten()", "forgotten()", "gone", "tested"]:
            return f"found {found}"
    return None


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    arguments.add_argument("--list", action="store_true")
    arguments.add_argument("--self-test", action="store_true")
    options = arguments.parse_args()
    if options.self_test:
        return self_test()
    found = list(check(options.root, WITHOUT, options.list))
    return "\n".join(found) if found else None


if __name__ == "__main__":
    sys.exit(main())
