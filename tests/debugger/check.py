#!/usr/bin/env python3
"""debugger: runs PROGRAM under gdb and looks at the stacks that it shows: of a fiber that has waited, of a task that a
fiber awaits (on its worker's), and of a fiber that is preempted in the middle of a function. Fibers' end where they begin."""
import re
import shutil
import subprocess
import sys

LIMIT_S = 120
SKIPPED = 77  # CTest shows it as that
MARK = "=== stack"
# What must stand on the stack, from the innermost on, with anything between.
EXPECTED = (
    ("a fiber that has waited", ["stop_here", "inner_of_fiber", "outer_of_fiber", "weft_context_boot"]),
    ("a task that a fiber awaits", ["stop_here", "task_in_fiber", "weft::detail::worker::loop"]),
    ("a fiber that is preempted", ["weft_preempt_give_way", "computes", "fiber_that_computes", "weft_context_boot"]),
)
WRONG = ("corrupt stack", "previous frame", "Cannot access memory", "?? ()")
NAME = re.compile(r"^#\d+ +(?:0x[0-9a-f]+ in )?([\w:<>~ ,*&]+?) ?\(", re.M)


def skip(why):
    print(f"debugger: skipped: {why}")
    sys.exit(SKIPPED)


def stacks_of(gdb, program):
    show = ["-ex", f"echo {MARK}\\n", "-ex", "backtrace", "-ex", "continue"]
    done = subprocess.run(
        [gdb, "-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex", "set pagination off",
         "-ex", "set print frame-arguments none", "-ex", "handle SIGURG nostop noprint pass",
         "-ex", "break stop_here", "-ex", "break weft_preempt_give_way", "-ex", "run", *(show * len(EXPECTED)),
         "-ex", "delete", "-ex", "continue", program],
        capture_output=True, text=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL)
    said = done.stdout + done.stderr
    refused = re.search(r"^.*ptrace: .*not permitted.*$", said, re.M)
    if refused and "\nBreakpoint 1, " not in said:  # gdb goes on with its commands all the same
        skip("nothing can be traced here: " + refused[0])
    return said, said.split(MARK)[1:]


def main():
    gdb = shutil.which("gdb")
    if gdb is None:
        skip("there is no gdb (apt-get install gdb)")
    said, stacks = stacks_of(gdb, sys.argv[1])
    wrong = 0
    for (what, names), text in zip(EXPECTED, stacks):
        stack = text.split("Continuing", 1)[0]
        shown = [n.strip() for n in NAME.findall(stack)]
        rest = iter(shown)
        missing = [n for n in names if not any(n in s for s in rest)]
        bad = [w for w in WRONG if w in stack]
        wrong += bool(missing or bad)
        print(f"{'WRONG' if missing or bad else 'ok   '} {what}: {', '.join(shown)}")
        if missing or bad:
            print(f"  not found in this order: {missing}; and there is: {bad}\n{stack}")
    if len(stacks) != len(EXPECTED) or "exited normally" not in said:
        print(f"WRONG {len(stacks)} stacks of {len(EXPECTED)}\n{said}")
        wrong += 1
    sys.exit(1 if wrong else 0)


main()
