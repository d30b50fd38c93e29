#!/usr/bin/env python3
"""include_cost: what each header costs a file that includes it: lines after preprocessing, and CPU
milliseconds of the compiler for that include alone. Sorted by time; lines are exact, times are of one run on
a machine that may have been busy (--repeat takes the best of several). --public times only what weft/weft.hpp
names, which is what users include; of all others it says the lines."""
import argparse
import os
import subprocess
import sys
from pathlib import Path

import tree

FLAGS = ["-std=c++23", "-I", str(tree.ROOT), "-x", "c++", "-"]


def lines_of(compiler, text):
    done = subprocess.run([compiler, "-E", "-P", *FLAGS], input=text, text=True, capture_output=True, cwd=tree.ROOT)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return sum(1 for line in done.stdout.splitlines() if line.strip())


def milliseconds_of(compiler, text):
    child = subprocess.Popen([compiler, "-fsyntax-only", *FLAGS], stdin=subprocess.PIPE, text=True, cwd=tree.ROOT,
                             stderr=subprocess.DEVNULL)
    child.stdin.write(text)
    child.stdin.close()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise RuntimeError(f"{text.strip()} does not compile")
    return round((usage.ru_utime + usage.ru_stime) * 1000)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=tree.ROOT / "build/dev")
    parser.add_argument("--compiler", default="clang++-19")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--public", action="store_true")
    options = parser.parse_args()

    version = tree.version(options.compiler)
    if version is None:
        print(f"include_cost: {options.compiler} is not installed")
        return 1
    contents, memory = tree.Contents(), tree.Memory(options.build, f"include-cost-{options.compiler}")
    rows, failed = [], 0
    empty = min(milliseconds_of(options.compiler, "\n") for _ in range(3))
    public = {"weft/weft.hpp", *tree.INCLUDE.findall(contents.read("weft/weft.hpp"))}
    for header in tree.headers():
        if header.startswith("weft/testing/model/"):
            continue
        text = f'#include "{header}"\n'
        timed = header in public or not options.public
        key = contents.key(text, version, options.repeat if timed else 0, *FLAGS)
        cost = memory.get(key)
        try:
            if cost is None:
                cost = [lines_of(options.compiler, text),
                        min(milliseconds_of(options.compiler, text) for _ in range(options.repeat)) if timed else -1]
                memory.put(key, cost)
            rows.append((cost[1], cost[0], header))
        except RuntimeError as error:
            failed += 1
            print(f"{header}: {error}")
    memory.save()
    print(f"{'ms':>6} {'lines':>7}  header ({version}; an empty file: {empty} ms)")
    for ms, lines, header in sorted(rows, reverse=True):
        print(f"{ms if ms >= 0 else '-':>6} {lines:7}  {header}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
