"""What the soaks share: programs that are spoken to by lines, and what /proc says of them."""
import ctypes
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / "build/release/bin"
SKIPPED = 77  # CTest shows it as that
PR_SET_THP_DISABLE = 41
# What a quiet connection may take of the server's memory, beside what all of them have taken once: how many buffers are lent at
# the same time is a matter of chance, and some are kept.
BYTES_EACH_MAX = 1536
SPARE_BYTES = 1 << 20
WARM_UP = 200  # connections, as many as talk at the same time later, before the memory is looked at
WARM_UP_ROUNDS = 10


def skip(why):
    print(f"{Path(sys.argv[0]).stem}: skipped: {why}")
    sys.exit(SKIPPED)


def prepare(descriptors):
    """For this process and those it starts: as many descriptors as may be, and no huge pages, with which memory
    comes in steps of 2 MiB. Result: the limit on descriptors."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
    if hard < descriptors:
        skip(f"{descriptors} descriptors a process are needed, the limit is {hard} (ulimit -Hn)")
    return hard


def memory_bytes(pid):
    """Resident memory that is not shared with files: what the process itself takes."""
    return int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Program:
    """One that is told what to do by lines of its input, and ends with it. What it says on stderr is kept: a soak
    in which somebody has something to say has failed."""

    def __init__(self, *arguments, driver=None, speaks=True):
        environment = dict(os.environ, WEFT_DRIVER=driver) if driver else None
        self.name = Path(arguments[0]).name
        self.process = subprocess.Popen([str(a) for a in arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=environment)
        self.pid = self.process.pid
        self.complaints = ""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.first = self.process.stdout.readline() if speaks else ""

    def _listen(self):
        for line in self.process.stderr:
            self.complaints += line

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        if not line:
            code = self.end(kill=True)
            sys.exit(f"{self.name} ended ({code}): {self.complaints}")
        return json.loads(line)

    def tell(self, line):
        self.say(line)
        return self.hear()

    def end(self, kill=False, number=None, patience_s=90):
        """Result: the exit code; None if it had to be killed."""
        try:
            if number is not None:
                self.process.send_signal(number)
            self.process.stdin.close()
        except OSError:
            pass  # it has ended
        if kill:
            self.process.kill()
        try:
            code = self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = None
        self._listener.join(10)
        return code


class Programs:
    """Ends what it has started, however the block ends."""

    def __init__(self):
        self.all = []

    def start(self, *arguments, **options):
        self.all.append(Program(*arguments, **options))
        return self.all[-1]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for p in self.all:
            if p.process.poll() is None:
                p.end(kill=kind is not None)


def warm_up(client):
    client.tell(f"open {WARM_UP}")
    for _ in range(WARM_UP_ROUNDS):
        client.tell("check")


def is_little(grown_bytes, connections):
    return grown_bytes <= connections * BYTES_EACH_MAX + SPARE_BYTES


class Verdict:
    def __init__(self):
        self.wrong = 0

    def expect(self, good, what):
        print(("ok    " if good else "FAIL  ") + what, flush=True)
        self.wrong += not good

    def end_well(self, program, number=None):
        code = program.end(number=number)
        self.expect(code == 0 and not program.complaints,
                    f"{program.name} ended with {code}" + (": " + program.complaints if program.complaints else ""))

    def exit(self):
        sys.exit(1 if self.wrong else 0)


INTERRUPT = signal.SIGINT
