#!/usr/bin/env python3
"""As many connections that are open and quiet as one process may hold: what each takes of the server's memory, how fast
they are accepted, and whether those that ask among them notice.

  tests/soak/many_idle.py [--bin FOLDER] [--drivers D,D] [--idle N] [--active N] [--rate R] [--seconds S]

For each driver: a server, 1 000 active connections that are measured, the idle ones beside them, the same measurement, the
idle ones away, the same once more. 0 if a connection took no more than 1.5 KiB of user memory, every one answered, and
the active ones' p99 became no more than 1.5 times what it was. About two minutes a driver by hand; build with
`cmake --build --preset release --target soak_server soak_client`. poll(2) gets fewer: it looks at each of them at each wait,
so its p99 is only shown. By CTest the same with 1 000 idle ones, where the p99 is only shown, too: other tests run."""
import argparse
import re
import statistics
from pathlib import Path

from programs import BIN, WARM_UP, Programs, Verdict, is_little, memory_bytes, prepare, warm_up

OWN_DESCRIPTORS = 100  # of the server: standard streams, the driver's, spare
POLL_IDLE_MAX = 2000
ROUNDS = 9  # the best of which counts: what disturbs the machine only makes it worse


def measure(client, a):
    rounds = [client.tell(f"measure {a.rate} {a.seconds / ROUNDS}") for _ in range(ROUNDS)]
    best = min(rounds, key=lambda r: r["p99_us"])
    return best, sum(r["asked"] - r["answered"] for r in rounds)


def show(what, m):
    print(f"      {what}: p50 {m['p50_us']:.0f} us, p99 {m['p99_us']:.0f} us, max {m['max_us']:.0f} us", flush=True)


def run(driver, idle, a, verdict):
    with Programs() as programs:
        server = programs.start(a.bin / "soak_server", driver=driver)
        said = re.search(r'"port": (\d+), "driver": "(\w+)"', server.first)
        if not said:
            server.end()
            print(f"      {driver}: left out: {server.complaints.strip()}")
            return False
        port = said[1]
        active = programs.start(a.bin / "soak_client", port, 2, speaks=False)
        quiet = programs.start(a.bin / "soak_client", port, 3, speaks=False)
        print(f"{driver}: {idle} idle, {a.active} active at {a.rate} a second")
        opened = active.tell(f"open {a.active}")["open"]
        before, lost = measure(active, a)
        show("without", before)
        warm_up(quiet)
        memory = memory_bytes(server.pid)
        came = quiet.tell(f"open {idle - WARM_UP}")
        verdict.expect(opened == a.active and came["open"] == idle, f"{driver}: {opened} + {came['open']} were accepted")
        rate = (idle - WARM_UP) / max(came["seconds"], 1e-3)
        print(f"      accepted, asked and answered {rate:.0f} a second, in {came['seconds']:.2f} s")
        grown = memory_bytes(server.pid) - memory
        verdict.expect(not a.memory or is_little(grown, idle - WARM_UP),
                       f"{driver}: {grown / (idle - WARM_UP):.0f} bytes of user memory each")
        among, more = measure(active, a)
        lost += more
        show("among them", among)
        answered = quiet.tell("check")["answered"]
        verdict.expect(answered == idle, f"{driver}: {answered} of {idle} still answer")
        quiet.tell(f"close {idle}")
        after, more = measure(active, a)
        lost += more
        show("afterwards", after)
        ratio = among["p99_us"] / max(statistics.mean((before["p99_us"], after["p99_us"])), 0.1)
        judged = a.ratio_max and driver != "poll"
        verdict.expect(not judged or ratio <= a.ratio_max,
                       f"{driver}: p99 among them is {ratio:.2f} of that without" + ("" if judged else " (only shown)"))
        verdict.expect(lost == 0, f"{driver}: {lost} questions without an answer")
        for p in (active, quiet, server):
            verdict.end_well(p)
        return True


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", type=Path, default=BIN)
    p.add_argument("--drivers", default="io_uring,epoll,poll")
    p.add_argument("--idle", type=int, default=0, help="0: as many as there are descriptors for")
    p.add_argument("--active", type=int, default=1000)
    p.add_argument("--rate", type=int, default=4000, help="questions a second, of all active ones")
    p.add_argument("--seconds", type=float, default=15, help="of each measurement")
    p.add_argument("--ratio-max", type=float, default=1.5, help="0: it is only shown")
    p.add_argument("--no-memory", dest="memory", action="store_false", help="it is only shown: sanitizers have their own")
    a = p.parse_args()
    limit = prepare(max(a.idle, 100) + a.active + OWN_DESCRIPTORS)
    idle = a.idle or limit - a.active - OWN_DESCRIPTORS
    verdict = Verdict()
    ran = [run(d, min(idle, POLL_IDLE_MAX) if d == "poll" else idle, a, verdict) for d in a.drivers.split(",")]
    verdict.expect(any(ran), f"{sum(ran)} drivers")
    verdict.exit()


if __name__ == "__main__":
    main()
