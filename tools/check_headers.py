#!/usr/bin/env python3
"""check_headers: every header of weft/ compiles alone, as the first include of a file, with both compilers.

Results are remembered by the content of the header and of everything of ours that it includes."""
import argparse
import sys
from pathlib import Path

import tree

FLAGS = ["-std=c++23", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I", str(tree.ROOT)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=tree.ROOT / "build/dev")
    parser.add_argument("--compilers", default="clang++-19,g++")
    parser.add_argument("only", nargs="*", help="headers, all without")
    options = parser.parse_args()

    contents, memory = tree.Contents(), tree.Memory(options.build, "check-headers")
    work, known = [], 0
    for compiler in options.compilers.split(","):
        version = tree.version(compiler)
        if version is None:
            print(f"headers: {compiler} is not installed, a header that it refuses goes unseen")
            return 1
        for header in options.only or tree.headers():
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
    print(f"headers: {known + len(work)} compiles, {known} unchanged, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
