#!/usr/bin/env python3
"""instruction_budget: how many instructions each hot path takes, beside what tools/instruction_budget.json has
on record. A path that grew by more than 5 % is a failure; one that shrank as much wants to be recorded, so that
the gain is kept. Counted by callgrind, so a busy machine makes no difference, and no two runs differ by 1 %."""
import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import tree

RECORD = tree.ROOT / "tools/instruction_budget.json"
PROGRAM = "bench_hot_paths"  # benchmarks/hot_paths.cpp: what each path is
TOLERANCE = 0.05
# Two runs of each path; the difference is what the operations between take. The first number is enough to have
# warmed up, the second so far away that what differs from start to start (a thousand instructions) does not count.
FEW, MANY = 2_000, 42_000
RUN_S_MAX = 120
SKIPPED = 77  # CTest shows it as that


class Skipped(Exception):
    """It cannot be counted, or not compared, here."""


def build():
    """Installs what is missing and builds the program, as ./test does. Gives the build's folder."""
    script = f"""set -euo pipefail; root=$1; source "$root/tools/setup.sh"
writable; need "$packages_build"; need "$packages_count"; build release {PROGRAM} >&2"""
    if subprocess.run(["bash", "-c", script, "instruction_budget", str(tree.ROOT)]).returncode != 0:
        raise SystemExit("instruction_budget: the program could not be built")
    return tree.ROOT / "build/release"


def count(program, path, n):
    """The process's instructions, and the operations that it did."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program), "--what", path,
               "--n", str(n)]
    # An environment of our own: WEFT_* changes what runs, and its size changes how memory is aligned.
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=RUN_S_MAX)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"instruction_budget: {path} did not end within {RUN_S_MAX} s") from None
    counted = re.search(r"Collected : (\d+)", done.stderr)
    operations = re.search(r"^operations (\d+)$", done.stdout, re.M)
    if done.returncode != 0 or not counted or not operations:
        raise SystemExit(f"instruction_budget: this failed (exit code {done.returncode}):\n"
                         f"  {' '.join(command)}\n{done.stderr}")
    return int(counted[1]), int(operations[1])


def measure(program, paths):
    """Instructions an operation, by path."""
    counts = tree.in_parallel(lambda job: count(program, *job), [(p, n) for p in paths for n in (FEW, MANY)])
    figures = {}
    for path, few, many in zip(paths, counts[::2], counts[1::2]):
        figures[path] = round((many[0] - few[0]) / (many[1] - few[1]), 1)
    return figures


def here(folder):
    """What the figures depend on besides our sources."""
    compiler = tree.flags(folder)["compiler"][0]
    return {"compiler": tree.version(compiler) or compiler, "machine": platform.machine()}


def major(compiler):
    found = re.search(r"clang version \d+", compiler)
    return found[0] if found else compiler


def check_comparable(record, now):
    if record["machine"] != now["machine"]:
        raise Skipped(f"the record is of {record['machine']}, this is {now['machine']}")
    if major(record["compiler"]) != major(now["compiler"]):
        raise Skipped(f"the record is of {record['compiler']}, this build of {now['compiler']}")


def compare(recorded, figures, known):
    """The table, worst first, and the paths that are out of bounds, by what is wrong with them."""
    lines, wrong = [], {"grown": [], "shrunk": [], "not on record": [], "gone": sorted(set(recorded) - set(known))}
    change = {p: figures[p] / recorded[p] - 1 if p in recorded else float("inf") for p in figures}
    lines.append(f"{'path':16} {'recorded':>9} {'now':>9} {'change':>8}   instructions an operation")
    for path in sorted(figures, key=lambda p: -change[p]):
        what = ("not on record" if path not in recorded else "grown" if change[path] > TOLERANCE
                else "shrunk" if change[path] < -TOLERANCE else "")
        if what:
            wrong[what].append(path)
        before = f"{recorded[path]:9.1f}" if path in recorded else f"{'-':>9}"
        percent = f"{change[path]:+8.1%}" if path in recorded else f"{'-':>8}"
        lines.append(f"{path:16} {before} {figures[path]:9.1f} {percent}   {what}".rstrip())
    return lines, wrong


def verdict(wrong, record, now):
    """What to say below the table, and the exit code."""
    lines, again = [], "tools/instruction_budget.py --record"
    if wrong["grown"]:
        lines += [f"grown by more than {TOLERANCE:.0%}: {', '.join(wrong['grown'])}",
                  "  which function: valgrind --tool=callgrind --callgrind-out-file=/tmp/callgrind build/release/bin/"
                  f"{PROGRAM} --what {wrong['grown'][0]} --n {MANY} && callgrind_annotate /tmp/callgrind",
                  f"  if it is worth it, say so in the commit, with {again}"]
        if record["compiler"] != now["compiler"]:
            lines.append(f"  (the record is of {record['compiler']}, this is {now['compiler']})")
    for what in ("not on record", "gone"):
        if wrong[what]:
            lines.append(f"{what}: {', '.join(wrong[what])}; please record: {again}")
    if wrong["shrunk"]:
        lines.append(f"shrunk by more than {TOLERANCE:.0%}: {', '.join(wrong['shrunk'])}; please record it, or the "
                     f"gain may be lost again unseen: {again}")
    failed = wrong["grown"] or wrong["not on record"] or wrong["gone"]
    return lines or [f"all within {TOLERANCE:.0%}"], 1 if failed else 0


def run(options):
    if options.build and not shutil.which("valgrind"):
        raise Skipped("valgrind is not installed (Debian: apt-get install valgrind)")
    folder = options.build or build()
    program = Path(folder) / "bin" / PROGRAM
    if not program.exists():
        raise SystemExit(f"{program} is missing: build the preset release first, or leave out --build")
    known = subprocess.run([str(program), "--list"], capture_output=True, text=True, check=True).stdout.split()
    unknown = [p for p in options.paths if p not in known]
    if unknown:
        raise SystemExit(f"instruction_budget: unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    now = here(folder)
    record = json.loads(RECORD.read_text()) if RECORD.exists() else dict(now, instructions={})
    if not options.record:
        check_comparable(record, now)

    paths = options.paths or known
    figures = measure(program, paths)
    recorded = record["instructions"]
    lines, wrong = compare(recorded, figures, known)
    if not options.record:
        more, code = verdict(wrong, record, now)
        return lines + more, code
    everything = {p: figures.get(p, recorded.get(p)) for p in known}
    instructions = {p: n for p, n in everything.items() if n is not None}
    RECORD.write_text(json.dumps({**now, "instructions": instructions}, indent=2) + "\n")
    return lines + [f"recorded in {RECORD.relative_to(tree.ROOT)}"], 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*", metavar="PATH", help="which; all without one")
    parser.add_argument("--record", action="store_true", help="puts what was counted on record")
    parser.add_argument("--build", type=Path,
                        help="a release build to count, as it is; without it, build/release is brought up to date")
    parser.add_argument("--report", type=Path, metavar="FILE", help="also write what is printed there")
    options = parser.parse_args()
    if options.report:
        options.report.unlink(missing_ok=True)  # nobody shall read the last one's
    try:
        lines, code = run(options)
    except Skipped as why:
        lines, code = [f"instruction_budget: skipped: {why}"], SKIPPED
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if options.report:
        options.report.write_text(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
