#!/usr/bin/env python3
"""check_headers: every header of weft/ compiles alone, as the first include of a file, with both compilers.

What the build has shown is not compiled again: a source whose first line of code includes the header, with
this compiler and these warnings, and whose object is newer than all of it. Results are remembered by the
content of the header and of everything of ours that it includes."""
import argparse
import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import tree

FLAGS = ["-std=c++23", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I", str(tree.ROOT)]
# Comments and blank lines, then an include: nothing stands before it that could help the header.
FIRST = re.compile(r'\A(?:\s|//[^\n]*|/\*.*?\*/)*#\s*include\s*[<"](weft/[^">]+\.hpp)[">]', re.S)


def program_of(compiler):
    """The file that is run, so that g++ and /usr/bin/g++ are the same."""
    return os.path.realpath(shutil.which(compiler) or compiler)


def shown_by_build(build, compiler, contents):
    """The headers that a source of the build includes first and that its compiler therefore took alone."""
    commands, shown = Path(build) / "compile_commands.json", set()
    if not commands.exists():
        return shown
    for entry in json.loads(commands.read_text()):
        source, words = Path(entry["file"]), shlex.split(entry["command"])
        if not source.is_relative_to(tree.ROOT) or program_of(words[0]) != program_of(compiler):
            continue
        # Headers that are compiled ahead would lend theirs, and the model checker has a world of its own.
        if "-include" in words or "-include-pch" in words or "-DWEFT_MODEL=1" in words:
            continue
        if not {"-Wall", "-Wextra", "-Werror"} <= set(words) or "-o" not in words:
            continue
        first = FIRST.match(contents.read(str(source.relative_to(tree.ROOT))))
        if first is None or first.group(1) in shown:
            continue
        built = Path(entry["directory"]) / words[words.index("-o") + 1]
        inputs = [source, *(tree.ROOT / name for name in contents.closure(f'#include "{first.group(1)}"\n'))]
        if built.exists() and all(not p.exists() or p.stat().st_mtime_ns < built.stat().st_mtime_ns for p in inputs):
            shown.add(first.group(1))
    return shown


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=tree.ROOT / "build/dev")
    parser.add_argument("--compilers", default="clang++-19,g++")
    parser.add_argument("only", nargs="*", help="headers, all without")
    options = parser.parse_args()

    contents, memory = tree.Contents(), tree.Memory(options.build, "check-headers")
    work, known, seen = [], 0, 0
    for compiler in options.compilers.split(","):
        version = tree.version(compiler)
        if version is None:
            print(f"headers: {compiler} is not installed, a header that it refuses goes unseen")
            return 1
        shown = set() if options.only else shown_by_build(options.build, compiler, contents)
        for header in options.only or tree.headers():
            if header in shown:
                seen += 1
                continue
            # The model checker's own headers exist only in programs that are built for it.
            model = ["-DWEFT_MODEL=1"] if header.startswith("weft/testing/model/") else []
            text = f'#include "{header}"\n'
            key = contents.key(text, version, *FLAGS, *model)
            if memory.get(key):
                known += 1
            else:
                work.append((compiler, header, [*FLAGS, *model], text, key))

    def one(item):
        compiler, header, flags, text, key = item
        ok, said = tree.compile_text(compiler, flags, text)
        if ok:
            memory.put(key, True)
            return 0
        print(f"{header}: does not compile alone with {compiler}\n"
              f"    remedy: include what the header uses, or forward-declare it\n{said}", flush=True)
        return 1

    failed = sum(tree.in_parallel(one, work))
    if not options.only:
        memory.save()
    print(f"headers: {seen + known + len(work)} to show, {seen} by the build, {known} unchanged, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
