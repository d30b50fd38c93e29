#!/usr/bin/env python3
"""check.py COMPILER [NAME...]: what the library must refuse at compile time, and with which advice.

Each *.cpp here is two programs: with WRONG defined, a mistake; without, the same done right, which is
the control. The first lines say what is known, as a regular expression that the compiler's messages
must have, for both compilers or for each:
    // refused: regex
    // gcc: regex  or  accepted: this compiler cannot see it
    // clang: regex  or  accepted
    // flags: more options
Exit status 1 when a mistake is accepted, is refused in other words, or the control does not compile.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TIME_MAX_S = 120
# As a user's build: warnings are errors, or what is only [[nodiscard]] would be let through.
FLAGS = ["-std=c++23", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}", f"-I{HERE}", "-pthread"]


def run(command):
    # Messages are compared: not in the user's language.
    return subprocess.run(command, capture_output=True, text=True, errors="replace",
                          timeout=TIME_MAX_S, env={**os.environ, "LC_ALL": "C"})


class Compiler:
    """One with the headers compiled ahead, which is most of the work."""

    def __init__(self, name, folder):
        self.name = name
        self.family = "clang" if "clang" in run([name, "--version"]).stdout else "gcc"
        self.flags = FLAGS + (["-foptimize-sibling-calls"] if self.family == "gcc" else [])
        prelude = folder / "prelude.hpp"
        prelude.write_text('#include "common.hpp"\n')
        built = folder / ("prelude.hpp.gch" if self.family == "gcc" else "prelude.pch")
        made = run([name, *self.flags, "-x", "c++-header", str(prelude), "-o", str(built)])
        if made.returncode != 0:
            sys.exit(f"common.hpp does not compile:\n{made.stderr}")
        self.ahead = (["-include", str(prelude)] if self.family == "gcc"
                      else ["-include-pch", str(built)])

    def compile(self, source, more):
        return run([self.name, *self.flags, *more, *self.ahead, "-fsyntax-only", str(source)])


def known_of(source, family):
    """The regular expression, or None where this compiler accepts it; and more flags."""
    refused, flags, said = None, [], False
    for line in source.read_text().splitlines():
        found = re.match(r"// (refused|gcc|clang|flags): (.*)", line)
        if not found:
            break
        key, value = found.groups()
        if key == "flags":
            flags = value.split()
        elif key in ("refused", family):
            said, refused = True, None if value == "accepted" else value
    if not said:
        sys.exit(f"{source}: the first lines must say what is known of {family}")
    return refused, flags


def judge(compiler, source):
    """Nothing, if all is as it is known to be; else what is not."""
    refused, flags = known_of(source, compiler.family)
    wrong = compiler.compile(source, [*flags, "-DWRONG"])
    if refused is None:
        if wrong.returncode != 0:
            return f"this compiler sees it now; say so in its first lines:\n{wrong.stderr}"
    elif wrong.returncode == 0:
        return "the mistake is accepted"
    elif not re.search(refused, wrong.stderr):
        return f"it is refused without the advice {refused!r}:\n{wrong.stderr}"
    right = compiler.compile(source, flags)
    if right.returncode != 0:
        return f"the right way does not compile:\n{right.stderr}"
    return None


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sources = [s for s in sorted(HERE.glob("*.cpp")) if not sys.argv[2:] or s.stem in sys.argv[2:]]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        compiler = Compiler(sys.argv[1], pathlib.Path(folder))
        for source in sources:
            what = judge(compiler, source)
            failed += what is not None
            print(f"{'FAIL' if what else 'ok':4} {source.stem}" + (f": {what}" if what else ""), flush=True)
    print(f"{len(sources) - failed} passed, {failed} failed")
    return 1 if failed or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
