#!/usr/bin/env python3
"""check.py COMPILER: what a compiler must refuse, and what only a flag makes right.

First every refused/*.cpp is compiled. Its first line says what is known:
    // gcc: error "part of the message"  clang: ok
where the words are ok, error (the compiler says no) and ice (the compiler breaks down).
Then the programs of flags/ are built, each with flags of its own, and run.
Exit status 1 when any row differs from what is known.
"""

import pathlib
import re
import resource
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TIME_MAX_S = 120

# (hazard, program, flags, arguments, known for gcc, known for clang).
# 10 million awaits where they must come through; fewer where a sanitizer counts each allocation.
MANY, FEWER, FEW = ["10000000"], ["1000000"], ["500"]
SIBLING = "-foptimize-sibling-calls"
ASAN, TSAN = "-fsanitize=address", "-fsanitize=thread"
GCC_ONLY = None  # a flag that Clang does not have
PROGRAMS = [
    ("G6", "transfers", "-O0", MANY, "bad", "good"),
    ("G6", "transfers", "-O0", FEW, "good", "good"),
    ("G6", "transfers", f"-O0 {SIBLING}", MANY, "good", "good"),
    ("G6", "transfers", "-O1", MANY, "bad", "good"),
    ("G6", "transfers", f"-O1 {SIBLING}", MANY, "good", "good"),
    ("G6", "transfers", "-Og", MANY, "bad", "good"),
    ("G6", "transfers", f"-Og {SIBLING}", MANY, "good", "good"),
    ("G6", "transfers", "-O2", MANY, "good", "good"),
    ("G7", "transfers", f"-O2 {ASAN}", FEWER, "bad", "good"),
    ("G7", "transfers", f"-O2 {ASAN} --param=asan-stack=0", FEWER, "good", GCC_ONLY),
    ("G7", "transfers", f"-O1 {SIBLING} {ASAN} --param=asan-stack=0", FEWER, "good", GCC_ONLY),
    ("G7", "transfers", f"-O2 {TSAN}", FEWER, "bad", "good"),
    ("G7", "transfers", f"-O2 {TSAN} --param=tsan-instrument-func-entry-exit=0", FEWER, "good",
     GCC_ONLY),
    ("G1", "moved_callable", f"-O0 {SIBLING}", [], "good", "good"),
    ("G1", "moved_callable", "-O2", [], "good", "good"),
]


class Table:
    def __init__(self):
        self.passed = self.failed = 0
        print(f"{'':4} {'id':4} {'name':64} {'known':5} seen")

    def row(self, hazard, name, known, seen, why=""):
        same = known == seen
        self.passed += same
        self.failed += not same
        print(f"{'ok' if same else 'FAIL':4} {hazard:4} {name:64} {known:5} {seen}"
              + (f": {why}" if why else ""), flush=True)
        if not same and known in ("bad", "error", "ice") and seen in ("ok", "good"):
            print(f"     this compiler has been fixed: drop the rule from README.md, {hazard}")

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0


def family(compiler):
    version = run([compiler, "--version"])
    return "clang" if version and "clang" in version.stdout else "gcc"


def run(command, **options):
    # Messages are compared with what is known of them: not in the user's language.
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace",
                              timeout=TIME_MAX_S, **options)
    except subprocess.TimeoutExpired:
        return None


def compile_command(compiler, source, output, flags=()):
    return ["env", "LC_ALL=C", compiler, "-std=c++23", *flags, f"-I{ROOT}", str(source), "-o",
            str(output)]


def known_of(source, which):
    """The word, and the part of the message, that the first line gives for this compiler."""
    first = source.read_text().splitlines()[0]
    found = re.search(which + r':\s*(\w+)(?:\s+"([^"]*)")?', first)
    if not found:
        sys.exit(f"{source}: the first line must say what is known of {which}")
    return found.group(1), found.group(2) or ""


def check_refused(table, compiler, which, folder):
    for source in sorted((HERE / "refused").glob("*.cpp")):
        known, message = known_of(source, which)
        hazard = re.search(r"\bG\d+\b", source.read_text())
        # -c, not -fsyntax-only: GCC finds G8 and G9 only after parsing.
        result = run(compile_command(compiler, source, folder / "snippet.o", ["-c", "-w"]))
        seen, why = "ok", ""
        if result is None:
            seen, why = "error", "compiled for too long"
        elif result.returncode != 0:
            lines = [line for line in result.stderr.splitlines() if "error:" in line]
            seen = "ice" if "internal compiler error" in result.stderr else "error"
            why = re.sub(r".*?error: ", "", lines[0])[:60] if lines else ""
            if seen == known and message not in result.stderr:
                seen, why = "other", why
        table.row(hazard.group(0) if hazard else "", source.stem, known, seen, why)


def check_programs(table, compiler, which, folder):
    for hazard, name, flags, arguments, on_gcc, on_clang in PROGRAMS:
        known = on_gcc if which == "gcc" else on_clang
        if known is GCC_ONLY:
            continue
        program = folder / name
        built = run(compile_command(compiler, HERE / "flags" / f"{name}.cpp", program,
                                    [*flags.split(), "-pthread"]))
        if built is None or built.returncode != 0:
            table.row(hazard, f"{name} {flags}", known, "not built")
            continue
        result = run([str(program), *arguments])
        seen, why = "good", ""
        if result is None:
            seen, why = "bad", "ran for too long"
        elif result.returncode < 0:
            seen, why = "bad", f"signal {-result.returncode}"
        elif result.returncode > 0:
            seen, why = "bad", f"exit status {result.returncode}"
        table.row(hazard, " ".join([name, *arguments, flags]), known, seen, why)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    compiler = sys.argv[1]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    which = family(compiler)
    table = Table()
    with tempfile.TemporaryDirectory() as folder:
        check_refused(table, compiler, which, pathlib.Path(folder))
        check_programs(table, compiler, which, pathlib.Path(folder))
    return table.end()


if __name__ == "__main__":
    sys.exit(main())
