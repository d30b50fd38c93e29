#!/usr/bin/env python3
"""uring_faults: runs the drivers' tests of PROGRAM (weft_io_test) on io_uring while strace lets every third
io_uring_enter fail, as a kernel does that has no memory for a request (EAGAIN), whose completion queue has
overflown (EBUSY), or that a signal interrupts (EINTR). All tests must pass as they do without."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ERRORS = ("EAGAIN", "EBUSY", "EINTR")
FIRST, EVERY = 4, 3  # which calls fail
FAILED_MIN = 100     # else nothing was tested
# Not those with thousands of rounds: each call takes strace long.
TESTS = "*driver*/io_uring*:driver_uring_test.*:driver_beside_test.*-*races*:*thousand*:*eight_mega*"
RUN_S_MAX = 300
SKIPPED = 77  # CTest shows it as that


def skip(why):
    print(f"uring_faults: skipped: {why}")
    sys.exit(SKIPPED)


def command(strace, log, error, program):
    return [strace, "-f", "--seccomp-bpf", "-o", log, "-e", "trace=io_uring_enter",
            "-e", f"inject=io_uring_enter:error={error}:when={FIRST}+{EVERY}", *program]


def run(argv):
    """With those that it started ended, too, if it takes too long: what strace traces outlives it."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True) as p:
        try:
            out, err = p.communicate(timeout=RUN_S_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            out, err = p.communicate()
            err += f"\nended after {RUN_S_MAX} s"
        return subprocess.CompletedProcess(argv, p.returncode, out, err)


def main():
    program = sys.argv[1]
    strace = shutil.which("strace")
    if not strace:
        skip("strace is not installed (Debian: apt-get install strace)")
    done = subprocess.run(command(strace, "/dev/null", "EBUSY", ["true"]), capture_output=True, text=True)
    if done.returncode != 0:
        skip(f"nothing can be traced here: {done.stderr.strip() or done.returncode}")
    refused = "io_uring is refused here"
    done = subprocess.run([program, "--gtest_filter=ring_test.*:driver_uring_test.*"], capture_output=True, text=True)
    if refused in done.stdout:
        skip(refused)
    wrong = False
    for error in ERRORS:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "calls"
            done = run(command(strace, str(log), error, [program, f"--gtest_filter={TESTS}"]))
            calls = log.read_text(errors="replace")
        failed = calls.count("(INJECTED)")
        passed = re.search(r"\[  PASSED  \] (\d+) test", done.stdout)
        print(f"{error}: {failed} calls failed, {passed.group(1) if passed else 0} tests passed")
        if done.returncode != 0 or not passed or refused in done.stdout or failed < FAILED_MIN:
            print(done.stdout[-4000:], done.stderr[-2000:], sep="\n")
            wrong = True
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
