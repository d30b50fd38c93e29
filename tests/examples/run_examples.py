#!/usr/bin/env python3
"""run_examples: starts each example program and looks at what it does.

  run_examples.py FOLDER      where the programs are: example_hello, example_echo_server, ..."""
import atexit
import http.client
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

BIN = Path(sys.argv[1])
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TIMEOUT_S = 20
failures = []


def check(holds, what):
    print(("ok      " if holds else "FAILED  ") + what)
    if not holds:
        failures.append(what)


def program(name, *args, **more):
    p = subprocess.Popen([BIN / f"example_{name}", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True, **more)
    atexit.register(p.kill)  # should a check raise; nothing if it has ended
    return p


def hello():
    p = program("hello")
    out, err = p.communicate(timeout=TIMEOUT_S)
    check(p.returncode == 0 and not err, "hello ends with 0 and says nothing on stderr " + err)
    check(out == "3 * 3 + 4 * 4 = 25\n5 * 5 was stopped after 10 ms\n", f"hello prints its two lines: {out!r}")


def legacy_in_fiber():
    p = program("legacy_in_fiber")
    out, err = p.communicate(timeout=TIMEOUT_S)
    check(p.returncode == 0 and not err, "legacy_in_fiber ends with 0 " + err)
    check(out == "8 words\n", f"legacy_in_fiber counts its words: {out!r}")


def ping_pong():
    p = program("ping_pong")
    out, err = p.communicate(timeout=TIMEOUT_S)
    rounds = re.fullmatch(r"(\d+) round trips a second\n", out)
    check(p.returncode == 0 and not err, "ping_pong ends with 0 " + err)
    check(rounds and int(rounds[1]) > 100, f"ping_pong makes round trips: {out!r}")


def copy_tree():
    with tempfile.TemporaryDirectory() as scratch:
        here, there = Path(scratch, "from"), Path(scratch, "to")
        expected = {}
        for i in range(300):
            name = Path(f"d{i % 7}", f"e{i % 3}", f"f{i}")
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            (here / name).write_bytes(bytes([i % 256]) * i)
            expected[name] = bytes([i % 256]) * i
        p = program("copy_tree", here, there)
        out, err = p.communicate(timeout=TIMEOUT_S)
        check(p.returncode == 0 and not err, "copy_tree ends with 0 " + err)
        said = re.fullmatch(r"(\d+) files, (\d+) bytes, (\d+) files/s\n", out)
        check(said and (int(said[1]), int(said[2])) == (300, sum(map(len, expected.values()))), f"it counts: {out!r}")
        found = {f.relative_to(there): f.read_bytes() for f in there.rglob("*") if f.is_file()}
        check(found == expected, "copy_tree copies each file, and nothing else")
        again = program("copy_tree", here, there)
        out, err = again.communicate(timeout=TIMEOUT_S)
        check(again.returncode == 1 and "exists" in err, f"it replaces nothing: {err[:100]!r}")


def echo_server():
    p = program("echo_server", "127.0.0.1:0")
    try:
        port = int(re.search(r":(\d+)\n", p.stdout.readline())[1])
        sent = bytes(range(256)) * 4096
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as s:
            got = b""
            for at in range(0, len(sent), 65536):
                s.sendall(sent[at:at + 65536])
                while len(got) < at + 65536:
                    part = s.recv(65536)
                    if not part:
                        break
                    got += part
            check(got == sent, f"echo_server sends back {len(sent)} bytes as they were")
            s.shutdown(socket.SHUT_WR)
            check(s.recv(1) == b"", "echo_server ends the stream when the client does")
        second = program("echo_server", f"127.0.0.1:{port}")
        out, err = second.communicate(timeout=TIMEOUT_S)
        check(second.returncode == 1 and "in use" in err.lower(), f"a second one says that the port is in use: {err!r}")
        bad = program("echo_server", "nonsense")
        out, err = bad.communicate(timeout=TIMEOUT_S)
        check(bad.returncode == 1 and err, f"what is no address is refused: {err!r}")
    finally:
        p.send_signal(signal.SIGTERM)
        p.communicate(timeout=TIMEOUT_S)


def guest():
    p = program("guest")
    out, err = p.communicate(timeout=TIMEOUT_S)
    check(p.returncode == 0 and not err, "guest ends with 0 and says nothing on stderr " + err)
    check(out == "weft: the server said hello\nweft: 50 ms have passed\nhost: at least 3 frames meanwhile\n",
          f"guest does weft's work and the host's: {out!r}")


def stuck_task():
    p = program("stuck_task")
    out, err = p.communicate(timeout=TIMEOUT_S)
    row = r": +parsed; (\d+) beats, the latest ([\d.]+) ms late; the worker changed hands (\d+) times\n"
    said = re.fullmatch("handed on" + row + "not handed on" + row, out)
    check(p.returncode == 0 and "'parse' held a worker" in err, f"stuck_task ends with 0, and stderr names the job: {err!r}")
    check(said and int(said[1]) > 20 and float(said[2]) < 200 and int(said[3]) >= 1,
          f"the heart beats beside the one that is stuck: {out!r}")
    check(said and float(said[5]) > 250 and int(said[6]) == 0, "without hand-offs it waits for it")


def compute_server():
    p = program("compute_server", "0")
    try:
        port = int(re.search(r":(\d+)/\n", p.stdout.readline())[1])
        others = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)

        def ask(where):
            others.request("GET", where)
            answer = others.getresponse()
            return answer.status, answer.read().decode()

        check(ask("/ping") == (200, "pong\n"), "compute_server answers")
        for wrong in ("/primes", "/primes?", "/primes?0", "/primes?10001", "/primes?99999999999", "/primes?9x"):
            check(ask(wrong)[0] == 400, f"it refuses {wrong}")
        check(ask("/elsewhere")[0] == 404, "it knows no other page")
        # One more than there are workers: without hand-offs none would be left for the others.
        stuck = [socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
                 for _ in range(len(os.sched_getaffinity(0)) + 1)]
        for s in stuck:
            s.sendall(b"GET /primes?2000 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        handoffs, first = 0, []
        while handoffs < len(stuck) and not first:
            handoffs = int(ask("/figures")[1].split()[0])
            first, _, _ = select.select(stuck, [], [], 0)
        check(not first, f"others are answered while all {len(stuck)} compute: {handoffs} handoffs")
        for s in stuck:
            with s, s.makefile("rb") as answer:
                primes = re.search(rb"\A(HTTP/1.1 200) .*\r\n\r\n(\d+) primes\n\Z", answer.read(), re.S)
                check(primes and int(primes[2]) > 0, "what computes is answered, too")
    finally:
        p.send_signal(signal.SIGTERM)
        p.communicate(timeout=TIMEOUT_S)
    bad = program("compute_server", "70000")
    out, err = bad.communicate(timeout=TIMEOUT_S)
    check(bad.returncode == 2 and "usage" in err, f"what is no port is refused: {err!r}")


TESTED = (hello, legacy_in_fiber, ping_pong, echo_server, guest, copy_tree, stuck_task, compute_server)
untested = {file.stem for file in EXAMPLES.glob("*.cpp")} - {f.__name__ for f in TESTED} - {"serve"}  # tests/http
check(not untested, f"each example is run here; left out: {sorted(untested) or 'none'}")
for example in TESTED:
    example()
sys.exit(1 if failures else 0)
