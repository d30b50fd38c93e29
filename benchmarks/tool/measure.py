"""measure: one run of one program, and what came out of it."""
import json
import os
import re
import select
import subprocess
import time

from common import OUT, RUN_S_MAX, START_S_MAX, Unavailable, run
from machine import cpu_s, dropped_packets, foreign, pinned


class server:
    """A server of ours or a peer's, on one core. It is ended by its own process id."""

    def __init__(self, command, core):
        self.command, self.core = [str(c) for c in command], core

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, start_new_session=True,
                                        preexec_fn=pinned(self.core))
        try:
            self.port = self._port()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _port(self):
        text, give_up = b"", time.monotonic() + START_S_MAX
        while b"\n" not in text:
            ready, _, _ = select.select([self.process.stdout], [], [], give_up - time.monotonic()
                                        if give_up > time.monotonic() else 0)
            if not ready:
                raise Unavailable(f"it did not listen within {START_S_MAX} s")
            some = os.read(self.process.stdout.fileno(), 4096)
            if not some:
                raise Unavailable(f"it ended before it listened ({self.process.wait(5)})")
            text += some
        found = re.match(rb"listening 127\.0\.0\.1:(\d+)\s", text)
        if not found:
            raise Unavailable(f"it said {text[:80]!r} instead of where it listens")
        return int(found.group(1))

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self.process.stdout.close()


def json_line(text):
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise Unavailable(f"it printed no figures: {text[-200:]!r}")


def measure_program(command, case, n, repeat):
    """A compute program: of each figure the least of its repetitions; none of them is better if more."""
    with foreign() as others:
        out = run([*command, "--what", case.what, "--workers", case.workers, "--n", n, "--repeat", repeat,
                   "--tasks", case.tasks], RUN_S_MAX)
    got = {name: min(samples) for name, samples in json_line(out).items()}
    if case.what == "reads":
        got["per_s"] = 1e6 / got["us"]
    return {**got, "foreign": others.share}


def echo_ms(connections, quick):
    """Warm-up and window: with 10 000 connections, of which each waits 100 ms, some turns of all of them."""
    return (100, 200) if quick else (300 + connections // 20, 1000 + connections // 10)


def measure_echo(program, case, quick, cores):
    connections, dropped = case.size("", quick), dropped_packets()
    with server(program, cores[0]) as s:
        with foreign() as others:
            before = cpu_s(s.process.pid)
            out = run([OUT / "c" / "load", s.port, s.process.pid, connections, case.message,
                       *echo_ms(connections, quick)], RUN_S_MAX, preexec_fn=pinned(cores[1]))
            others.more = cpu_s(s.process.pid) - before
        got = json_line(out)
    return {"per_cpu_s": got["requests"] / got["server_cpu_s"], "per_s": got["requests"] / got["seconds"],
            "p50_us": got["p50_us"], "p99_us": got["p99_us"], "spread": got["p99_us"] / got["p50_us"],
            "worst_us": got["worst_us"], "dropped": dropped_packets() - dropped, "foreign": others.share}


CONNECTIONS = 64  # of wrk
UNIT_US = {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}


def wrk_us(text, share):
    found = re.search(rf"^\s+{share}%\s+([\d.]+)(us|ms|s|m)\s*$", text, re.M)
    if not found:
        raise Unavailable("wrk's answer was not understood")
    return float(found.group(1)) * UNIT_US[found.group(2)]


def wrk(port, case, seconds, core):
    return run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency",
                f"http://127.0.0.1:{port}{case.path}"], RUN_S_MAX, preexec_fn=pinned(core))


def check_http(port, case):
    """A server that answers something else quickly must not win."""
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        for _ in range(2):  # the second one shows that the connection is kept
            connection.request("GET", case.path)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200 or body != case.body:
                raise Unavailable(f"it answered {answer.status} with {len(body)} B to {case.path}")
    except (OSError, http.client.HTTPException) as why:
        raise Unavailable(f"it did not answer {case.path}: {why}") from None
    finally:
        connection.close()


def measure_http(program, case, quick, cores):
    with server(program, cores[0]) as s:
        check_http(s.port, case)
        if not quick:
            wrk(s.port, case, 1, cores[1])  # warm-up: Go's heap, our buffers
        with foreign() as others:
            before = cpu_s(s.process.pid)
            out = wrk(s.port, case, 1 if quick else 2, cores[1])
            others.more = cpu_s(s.process.pid) - before
        served = others.more
    done = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m),", out)
    if not done or not int(done.group(1)) or served <= 0:
        raise Unavailable("wrk's answer was not understood")
    if re.search(r"Non-2xx|Socket errors", out):
        raise Unavailable("it answered with errors:\n" + out)
    count, seconds = int(done.group(1)), float(done.group(2)) * UNIT_US[done.group(3)] / 1e6
    p50, p99 = wrk_us(out, 50), wrk_us(out, 99)
    return {"per_cpu_s": count / served, "per_s": count / seconds, "p50_us": p50, "p99_us": p99,
            "spread": p99 / p50 if p50 else 0.0, "foreign": others.share}
