#!/usr/bin/env python3
"""system_calls: traces PROGRAM with strace and looks at what was called between its two marks. In the steady
state a spawn and its join need nothing from the kernel: nobody sleeps, so nobody is woken, and memory is
there already. What else is called is printed, not judged; only epoll_wait and ppoll, which a turn of the worker's loop
asks now and then, is not traced: each takes strace so long that the next turn would ask again."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

OPERATIONS = 1_000_000
TRACED = "trace=!epoll_wait,epoll_pwait,epoll_pwait2,poll,ppoll"
FORBIDDEN = {"futex", "futex_wait", "futex_wake", "futex_waitv", "mmap", "munmap", "mremap", "mprotect", "brk", "madvise",
             "membarrier", "clone", "clone3", "sched_yield"}
# The thread that waits for the end in block_on() may still be on its way to sleep at the first mark.
OTHERS_MAX = 8
DRIVERS = ("automatic", "epoll", "io_uring", "poll")
OF_A_RING = {"io_uring_setup", "io_uring_enter", "io_uring_register"}  # automatic makes one for files only
TRACE_S_MAX = 120
SKIPPED = 77  # CTest shows it as that
LINE = re.compile(r"^(\d+) +(\w+)\((.*)$")  # a call begins; what it resumes, or a signal, is none


def skip(why):
    print(f"system_calls: skipped: {why}")
    sys.exit(SKIPPED)


def check_can_trace(strace):
    done = subprocess.run([strace, "-f", "--seccomp-bpf", "-e", TRACED, "-o", "/dev/null", "true"],
                          capture_output=True, text=True)
    if done.returncode != 0:
        skip(f"nothing can be traced here: {done.stderr.strip() or done.returncode}")


def trace(strace, program, driver, folder):
    """The calls between the marks, by thread (the worker's number first), and what they were."""
    log = Path(folder) / driver
    # In the kernel it is decided what strace shall see: the rest runs at full speed.
    command = [strace, "-f", "--seccomp-bpf", "-e", TRACED, "-o", str(log), program, str(OPERATIONS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TRACE_S_MAX,
                          env={**os.environ, "WEFT_DRIVER": driver if driver != "automatic" else ""})
    if done.returncode != 0 or f"operations {OPERATIONS}" not in done.stdout:
        return None, None, done.stderr.strip() or f"exit code {done.returncode}"
    worker, calls = None, {}
    with log.open() as lines:
        for line in lines:
            found = LINE.match(line)
            if not found:
                continue
            thread, name, arguments = found.groups()
            if '"weft: begin"' in arguments:
                worker = thread
            elif '"weft: end"' in arguments:
                return worker, calls, ""
            elif worker:
                calls.setdefault(thread, Counter())[name] += 1
    return None, None, "the two marks were not seen"


def judge(worker, calls, forbidden):
    """What is wrong, and what there was to see."""
    wrong, seen = [], []
    for thread, counter in sorted(calls.items(), key=lambda c: c[0] != worker):
        who, most = ("the worker", 0) if thread == worker else ("another thread", OTHERS_MAX)
        if thread != worker and counter["clock_gettime"] > 0:  # of a thread's CPU time: nobody else asks the kernel
            # It sleeps between its looks, each a quarter of preempt_after. What else it does is not its own thing.
            who = "the monitor"
            forbidden_here = forbidden - {"futex"}
        else:
            forbidden_here = forbidden
        seen += [f"{n:8}  {name}, {who}" for name, n in counter.most_common()]
        bad = {name: n for name, n in counter.items() if name in forbidden_here}
        if sum(bad.values()) > most:
            wrong.append(f"{who} called " + ", ".join(f"{name} {n} times" for name, n in bad.items()))
    return wrong, seen or ["    none"]


def main():
    program = sys.argv[1]
    strace = shutil.which("strace")
    if not strace:
        skip("strace is not installed (Debian: apt-get install strace)")
    check_can_trace(strace)
    failed, done = False, 0
    with tempfile.TemporaryDirectory() as folder:
        for driver in DRIVERS:
            worker, calls, why = trace(strace, program, driver, folder)
            if why:
                if driver == "io_uring" and "io_uring" in why:  # this kernel or container has none
                    print(f"{driver}: left out: {why}")
                    continue
                sys.exit(f"{driver}: it failed: {why}")
            wrong, seen = judge(worker, calls, FORBIDDEN | (OF_A_RING if driver == "automatic" else set()))
            print(f"{driver}: system calls during {OPERATIONS:,} spawn + join", *seen, sep="\n")
            print(*(f"FAILED: {line}" for line in wrong), sep="\n", end="\n" if wrong else "")
            failed, done = failed or bool(wrong), done + 1
    sys.exit(1 if failed or not done else 0)


if __name__ == "__main__":
    main()
