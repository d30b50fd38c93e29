"""common: what all parts of ./bench need: where things are, bounds, running a program to its end."""
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
COMPARE = BENCHMARKS / "compare"
OUT = ROOT / "build" / "bench-peers"
FILE = OUT / "site" / "file"  # a folder of its own: weft serves folders
BLOCKS = OUT / "reads"        # the files that are read at random
WEFT = ROOT / "build" / "release" / "bin"
REGISTRY = Path("/usr/share/cargo/registry")  # where Debian's librust-*-dev put their sources
JOBS_MAX = min(2, os.cpu_count() or 1)
BUILD_S_MAX = 900
RUN_S_MAX = 60         # one run of one program
START_S_MAX = 10       # from a server's start to its "listening" line
NOT_BUILT = 3          # the exit code of a program of ours that lacks a part of weft


class Unavailable(Exception):
    """Why something could not be built or run; the text is for the user."""


class NotBuilt(Exception):
    """What of weft does not exist yet."""


def say(text=""):
    print(text, file=sys.stderr, flush=True)


def run(command, limit_s, **options):
    """Runs a program to its end, in a group of its own so that a time-out leaves nothing behind."""
    process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               start_new_session=True, **options)
    try:
        out, _ = process.communicate(timeout=limit_s)
    except BaseException as why:  # an interrupt too: it must not leave a build running
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(why, subprocess.TimeoutExpired):
            raise Unavailable(f"{Path(str(command[0])).name} ran for more than {limit_s} s") from None
        raise
    if process.returncode == NOT_BUILT and out.startswith("not built yet"):
        raise NotBuilt(out.strip().partition(": ")[2])
    if process.returncode != 0:
        end = "\n".join(out.strip().splitlines()[-15:])
        raise Unavailable(f"{Path(str(command[0])).name} failed ({process.returncode}):\n{end}")
    return out
