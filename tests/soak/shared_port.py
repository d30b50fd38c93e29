#!/usr/bin/env python3
"""200 000 connections to servers that share a port (SO_REUSEPORT): what each takes, and whether all still answer.

  tests/soak/shared_port.py [--bin FOLDER] [--connections N] [--servers N] [--driver D]

The limit on descriptors is one of a process, so there are 12 servers and 12 clients, each from an address of its own. 0 if
all were accepted, all answer in the end, and each took 1.5 KiB of user memory at most. By hand about a minute and 3 GB of
the kernel's memory; by CTest the same with 2 000 connections and two servers."""
import argparse
import json
from pathlib import Path

from programs import BIN, WARM_UP, Programs, Verdict, is_little, memory_bytes, prepare, skip, warm_up

OWN_DESCRIPTORS = 100
UNEVEN = 1.1        # the kernel spreads by a hash: no server has more than so many times its share...
UNEVEN_MORE = 100   # ... and these


def available_bytes():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", type=Path, default=BIN)
    p.add_argument("--connections", type=int, default=200_000)
    p.add_argument("--servers", type=int, default=12)
    p.add_argument("--driver")
    p.add_argument("--no-memory", dest="memory", action="store_false", help="it is only shown: sanitizers have their own")
    a = p.parse_args()
    share = a.connections // a.servers
    prepare(int(share * UNEVEN) + UNEVEN_MORE + OWN_DESCRIPTORS)
    if available_bytes() < a.connections * 20_000:
        skip(f"the kernel needs {a.connections * 20_000 >> 20} MB for both ends, there are {available_bytes() >> 20}")
    tracked = Path("/proc/sys/net/netfilter/nf_conntrack_max")
    if tracked.exists() and int(tracked.read_text()) < a.connections * 1.1:
        skip(f"{tracked} is less than the connections")
    verdict = Verdict()
    with Programs() as programs:
        servers = []
        port = 0
        for _ in range(a.servers):
            servers.append(programs.start(a.bin / "soak_server", "--shared", "--port", port, driver=a.driver))
            said = json.loads(servers[-1].first or "{}")
            if not said:
                verdict.expect(False, "a server did not start: " + servers[-1].complaints)
                verdict.exit()
            port = said["port"]
        clients = [programs.start(a.bin / "soak_client", port, 10 + i, speaks=False) for i in range(a.servers)]
        for c in clients:
            warm_up(c)
        before = [memory_bytes(s.pid) for s in servers]
        had = [s.tell("figures")["accepted"] for s in servers]
        seconds = 0.0
        opened = 0
        for c in clients:  # one after the other: the kernel's queues are for all of them
            came = c.tell(f"open {share - WARM_UP}")
            seconds += came["seconds"]
            opened += came["open"]
        rate = (opened - WARM_UP * a.servers) / max(seconds, 1e-3)
        verdict.expect(opened == share * a.servers, f"{opened} connections on {a.servers} servers, {said['driver']}, in "
                       f"{seconds:.1f} s: {rate:.0f} a second")
        got = [s.tell("figures")["accepted"] - n for s, n in zip(servers, had)]
        grown = [memory_bytes(s.pid) - m for s, m in zip(servers, before)]
        each = [g / max(n, 1) for g, n in zip(grown, got)]
        verdict.expect(not a.memory or all(is_little(g, n) for g, n in zip(grown, got)),
                       f"{min(each):.0f} to {max(each):.0f} bytes of user memory each; {min(got)} to {max(got)} a server")
        for c in clients:
            c.say("check")  # all at once
        answered = sum(c.hear()["answered"] for c in clients)
        verdict.expect(answered == opened, f"{answered} of them answer")
        for q in clients + servers:
            code = q.end()
            if code != 0 or q.complaints:
                verdict.expect(False, f"{q.name} ended with {code}: {q.complaints}")
    verdict.exit()


if __name__ == "__main__":
    main()
