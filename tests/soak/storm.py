#!/usr/bin/env python3
"""An echo server and examples/serve at 80 % of what they can, with peers among the others that stall, reset, half close and
cut their questions off: nothing may happen that was not provoked, and neither memory nor descriptors may grow.

  tests/soak/storm.py [--seconds N] [--seed N] [--bin FOLDER] [--driver D] [--connections N] [--load PART]

An hour by hand (`--seconds 3600`), 15 s by CTest; `cmake --build --preset release --target soak_server soak_storm
example_serve` builds what it needs. crowd.hpp says what the peers do. What the servers can is measured at the beginning, both at
once, with the clients on the same machine.

Growth is that of a straight line through the last three quarters of the samples: it has to be within three times their
scatter about the line, or within what is taken in steps (ALLOWED). In the end, when the peers have gone, as many descriptors and
jobs must be there as before they came."""
import argparse
import http.client
import json
import os
import random
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from programs import BIN, INTERRUPT, Programs, Verdict, descriptors, memory_bytes, prepare

LOAD_SECONDS = 2.0
FAULTS_A_SECOND = 100  # of each crowd
SAMPLES_MIN = 60
# Memory comes in slabs and buffers whose greatest number at a time is a matter of chance. A leak of 100 bytes a question would be more.
ALLOWED = {"memory": 4 << 20, "descriptors": 8}
PROVOKED = ("pauses", "stalls", "cuts", "half_closes", "resets", "leaves")
QUIET_S = 30  # until the connections of peers that have gone are closed
CACHED_FILES = 1  # large.bin, which the HTTP server keeps open


def growth(samples):
    """Of a straight line through them, from the first to the last; and their standard deviation about it."""
    n = len(samples)
    slope, at_0 = statistics.linear_regression(range(n), samples)
    scatter = statistics.pstdev(s - (at_0 + slope * i) for i, s in enumerate(samples))
    return slope * (n - 1), scatter


class Server:
    """One of the two, and its crowd."""

    def __init__(self, programs, a, kind, folder, seed):
        self.kind = kind
        if kind == "echo":
            self.program = programs.start(a.bin / "soak_server", driver=a.driver)
        else:
            self.program = programs.start(a.bin / "example_serve", "--port", "0", "--dir", folder, "--idle",
                                          int(a.seconds) + 3600,
                                          driver=a.driver)
        found = re.search(r'"port": (\d+)|:(\d+)/', self.program.first)
        if not found:
            self.program.end(kill=True)
            raise SystemExit(f"the {kind} server did not start: {self.program.complaints}")
        self.port = found[1] or found[2]
        # One connection for all figures: those that were closed here the server would still have for a moment.
        self.asks = http.client.HTTPConnection("127.0.0.1", int(self.port), timeout=60)
        self.samples = {"memory": [], "descriptors": []}
        self.figures()  # what it needs once
        self.descriptors_before = descriptors(self.program.pid)
        self.jobs_before = self.figures()["jobs"]
        self.crowd = programs.start(a.bin / "soak_storm", kind, self.port, seed, a.connections, speaks=False)

    def figures(self):
        """What it says of itself."""
        if self.kind == "echo":
            return self.program.tell("figures")
        self.asks.request("GET", "/_weft/metrics.json")
        with self.asks.getresponse() as answer:
            all_of_it = json.load(answer)
        return dict(all_of_it["server"], jobs=all_of_it["runtime"]["jobs_alive"])

    def look(self):
        self.samples["memory"].append(memory_bytes(self.program.pid))
        self.samples["descriptors"].append(descriptors(self.program.pid))

    def is_quiet(self):
        return (descriptors(self.program.pid) <= self.descriptors_before + CACHED_FILES
                and self.figures()["jobs"] <= self.jobs_before)

    def judge_storm(self, did, verdict):
        print(f"      {self.kind}: " + ", ".join(f"{name} {did[name]}" for name in
                                                  ("asked", "answered", "late", "connects", *PROVOKED)))
        verdict.expect(did["unprovoked"] == 0, f"{self.kind}: {did['unprovoked']} errors that were not provoked"
                       + (f", the first: {did['first']}" if did["unprovoked"] else ""))
        verdict.expect(did["answered"] > 0 and all(did[name] > 0 for name in PROVOKED),
                       f"{self.kind}: there was some of each")

    def judge_growth(self, memory, verdict):
        for name, samples in self.samples.items():
            late = samples[len(samples) // 4:]
            grown, scatter = growth(late)
            unit, by = ("KiB", 1024) if name == "memory" else ("", 1)
            judged = memory or name != "memory"
            tenths = [statistics.median(samples[len(samples) * i // 10:len(samples) * (i + 1) // 10]) for i in range(10)]
            verdict.expect(not judged or grown <= max(3 * scatter, ALLOWED[name]),
                           f"{self.kind}: {name} grown by {grown / by:.1f} {unit}, scatter {scatter / by:.1f}; tenth by tenth "
                           + " ".join(f"{t / by:.0f}" for t in tenths) + ("" if judged else " (only shown)"))

    def judge_end(self, verdict):
        """The peers have gone."""
        verdict.end_well(self.crowd)
        give_up = time.monotonic() + QUIET_S
        while not (quiet := self.is_quiet()) and time.monotonic() < give_up:
            time.sleep(0.1)
        n = self.figures()
        verdict.expect(quiet, f"{self.kind}: {descriptors(self.program.pid)} descriptors, before "
                       f"{self.descriptors_before}; {n['jobs']} jobs, before {self.jobs_before}")
        if self.kind == "http":
            names = ("handler_errors", "accept_errors", "responses_4xx", "responses_5xx", "refused", "timed_out")
            verdict.expect(all(n[name] == 0 for name in names),
                           "http: " + ", ".join(f"{name} {n[name]}" for name in names))
        self.asks.close()
        verdict.end_well(self.program, number=INTERRUPT if self.kind == "http" else None)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", type=Path, default=BIN)
    p.add_argument("--seconds", type=float, default=3600)
    p.add_argument("--seed", type=int, default=int(os.environ.get("WEFT_SEED", random.randrange(1, 1 << 32))))
    p.add_argument("--driver")
    p.add_argument("--connections", type=int, default=200, help="to each of the two servers")
    p.add_argument("--load", type=float, default=0.8, help="part of what the servers can")
    p.add_argument("--no-memory", dest="memory", action="store_false", help="it is only shown: sanitizers have their own")
    a = p.parse_args()
    prepare(2 * a.connections + 100)
    print(f"seed {a.seed} (WEFT_SEED={a.seed} repeats it), {a.seconds:.0f} s", flush=True)
    verdict = Verdict()
    with tempfile.TemporaryDirectory() as folder, Programs() as programs:
        subprocess.run([a.bin / "soak_storm", "--files", folder], check=True)
        servers = [Server(programs, a, kind, folder, a.seed + i) for i, kind in enumerate(("echo", "http"))]
        for s in servers:
            s.crowd.say(f"load {LOAD_SECONDS}")
        for s in servers:
            rate = s.crowd.hear()["rate"]
            s.rate = max(1.0, rate * a.load)
            print(f"      {s.kind}: {rate:.0f} a second at most, so {s.rate:.0f}", flush=True)
        begin = time.monotonic()
        for s in servers:
            s.crowd.say(f"storm {s.rate:.1f} {a.seconds} {FAULTS_A_SECOND}")
        every = min(1.0, a.seconds / SAMPLES_MIN)
        for i in range(1, int(a.seconds / every)):
            time.sleep(max(0.0, begin + i * every - time.monotonic()))
            for s in servers:
                s.look()
        for s in servers:
            s.judge_storm(s.crowd.hear(), verdict)
        for s in servers:
            s.judge_growth(a.memory, verdict)
            s.judge_end(verdict)
    verdict.exit()


if __name__ == "__main__":
    main()
