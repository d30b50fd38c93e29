#!/usr/bin/env python3
"""10 000 connections that are open and quiet, and 100 that ask all the time: does the server answer every
request, and what does a quiet connection cost?

  tests/soak/idle_connections.py [--server PROGRAM] [--idle N] [--active N] [--seconds S]

Starts the server on a free port, with a client in this process. Prints one line of figures and ends with 0
if there was no error and all quiet connections are still open. By hand: it needs 2 * (idle + active) descriptors on one machine, and a minute."""
import argparse
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUEST = b"GET /hello.txt HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def memory_kib(pid):
    """Resident memory that is not shared with files: what the process itself takes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", status)[1])


def connect(port):
    s = socket.create_connection(("127.0.0.1", port), timeout=10)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def ask(s):
    """One request, its answer whole; True if it was a 200."""
    s.sendall(REQUEST)
    got = b""
    while b"\r\n\r\n" not in got or not got.endswith(b"hello, world\n"):
        part = s.recv(4096)
        if not part:
            return False
        got += part
    return got.startswith(b"HTTP/1.1 200")


def keep_asking(sockets, seconds):
    """Each socket asks again as soon as it was answered. Result: answers, errors."""
    answers = errors = 0
    poll = select.epoll()
    by_fd = {s.fileno(): s for s in sockets}
    for s in sockets:
        poll.register(s, select.EPOLLIN)
        s.sendall(REQUEST)
    until = time.monotonic() + seconds
    while time.monotonic() < until and by_fd:
        for fd, _ in poll.poll(0.5):
            s = by_fd[fd]
            try:
                got = s.recv(65536)
            except ConnectionError:
                got = b""
            if got.startswith(b"HTTP/1.1 200") and got.endswith(b"hello, world\n"):
                answers += 1
                s.sendall(REQUEST)
            else:
                errors += 1
                poll.unregister(s)
                del by_fd[fd]
    return answers, errors


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--server", default=str(ROOT / "build/release/bin/example_serve"))
    p.add_argument("--idle", type=int, default=9900)
    p.add_argument("--active", type=int, default=100)
    p.add_argument("--seconds", type=float, default=60)
    a = p.parse_args()
    if not Path(a.server).exists():
        p.error(f"there is no {a.server}; `./run serve --help` builds the example, --server names another one")
    if a.idle < 1 or a.active < 1:
        p.error("--idle and --active are at least 1")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < a.idle + a.active + 50:
        sys.exit(f"the limit on open files is {hard}; run with --idle {hard - a.active - 50} or raise it (ulimit -n)")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "hello.txt").write_text("hello, world\n")
        server = subprocess.Popen([a.server, "--port", "0", "--dir", folder, "--connections", "20000",
                                   "--idle", "600"], stdout=subprocess.PIPE, text=True)
        try:
            port = int(re.search(r":(\d+)/", server.stdout.readline())[1])
            active = [connect(port) for _ in range(a.active)]
            errors = sum(not ask(s) for s in active)
            before = memory_kib(server.pid)
            idle = [connect(port) for _ in range(a.idle)]
            errors += sum(not ask(s) for s in idle)  # a quiet connection is one that was used before
            time.sleep(3)  # after 2 s of quiet the server gives the read buffer back
            after = memory_kib(server.pid)
            answers, more = keep_asking(active, a.seconds)
            still_open = 0
            for s in idle:
                s.setblocking(False)
                try:
                    s.recv(1)
                except BlockingIOError:  # neither an end nor anything to read
                    still_open += 1
                except ConnectionError:
                    pass
            print(f"{a.idle} idle connections: {(after - before) * 1024 / a.idle:.0f} bytes of memory each; "
                  f"{a.active} active: {answers} answers in {a.seconds:.0f} s; {errors + more} errors; "
                  f"{still_open} idle ones still open")
        finally:
            server.send_signal(signal.SIGINT)
            try:
                code = server.wait(timeout=10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
                code = "a kill: it did not end within 10 s"
        if code != 0:
            sys.exit(f"the server ended with {code}")
        sys.exit(1 if errors + more or still_open < a.idle else 0)


if __name__ == "__main__":
    main()
