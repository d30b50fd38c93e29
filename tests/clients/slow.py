#!/usr/bin/env python3
"""Clients that are slow on purpose, against examples/serve: heads that do not end, bodies that do not come, answers that
are not read, by slowhttptest if it is installed, or by sockets of our own. A client that is not must be served
meanwhile as if they were not there, and they must be ended by the server's limits.

  slow.py PROGRAM sockets|slowhttptest"""
import pathlib
import re
import socket
import statistics
import sys
import tempfile
import threading
import time

import site_of_clients as site
from site_of_clients import expect

PATIENCE_S = 2           # of the server
CLIENTS = 100            # of each kind
MEDIAN_S_MAX = 1.0       # of a normal client's answers
ANSWER_S_MAX = 20.0      # of each; a machine that is busy with other tests may take its time
END_S_MAX = 60           # until all are ended: far more than the patience
NORMAL_EVERY_S = 0.02

# Each does something often enough that only a limit on the whole, or on what it gets done, can end it.
SLOWHTTPTEST = {
    "heads": ("-H", "-i", "1", "-t", "GET"),
    "bodies": ("-B", "-i", "1", "-s", "8192", "-t", "POST"),
    "answers": ("-X", "-w", "256", "-y", "512", "-n", "1", "-z", "16", "-k", "1"),
}
SLOW_READS_S = 15  # the tool comes to know of its end only when it has read, slowly, what had arrived before
UNSENT_BYTES_MAX = 1 << 20


def unsent_bytes(port):
    """What the kernel keeps of answers, also of connections that the server has closed."""
    rows = (line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:])
    return sum(int(r[4].partition(":")[0], 16) for r in rows if int(r[1].partition(":")[2], 16) == port and r[3] != "0A")


class Normal:
    """Asks all the time, each time on a connection of its own."""

    def __init__(self, server):
        self.port = server.port
        self.over = threading.Event()
        self.took = []
        self.bad = []
        self.thread = threading.Thread(target=self.ask)
        self.thread.start()

    def ask(self):
        while not self.over.wait(NORMAL_EVERY_S):
            begin = time.monotonic()
            try:
                with site.connected(self.port) as (s, stream):
                    s.sendall(b"GET /small.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    answer = site.read_answer(stream)
                if not answer or answer[0] != 200 or answer[2] != b"0123456789":
                    self.bad.append(str(answer))
            except OSError as e:
                self.bad.append(str(e))
            self.took.append(time.monotonic() - begin)

    def end(self, beside):
        self.over.set()
        self.thread.join()
        median, slowest = statistics.median(self.took or [MEDIAN_S_MAX + 1]), max(self.took, default=0)
        expect(not self.bad and median <= MEDIAN_S_MAX and slowest <= ANSWER_S_MAX,
               f"beside {beside}: {len(self.took)} answers for others, half of them in {median * 1000:.1f} ms, the slowest in "
               f"{slowest * 1000:.0f} ms {self.bad[:3]}")


def check_sockets(server):
    """Without any tool: some of each kind, and how the server ends them."""
    before = server.figures()["timed_out"]
    normal = Normal(server)

    def peer(receive_bytes=0):
        s = socket.socket()
        if receive_bytes:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        s.settimeout(END_S_MAX)
        s.connect(("127.0.0.1", server.port))
        return s

    begin = time.monotonic()
    heads, bodies = ([peer(), peer(), peer()] for _ in range(2))
    answers = [peer(4096) for _ in range(3)]
    for s in bodies:
        s.sendall(b"POST /small.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
    for s in answers:
        s.sendall(b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
    alive = set(heads + bodies)
    over = threading.Event()

    def drip():  # a byte each 0.3 s is no way out of a limit on the whole head, nor on the whole body
        text = b"GET /small.txt HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * 2000
        for i in range(len(text)):
            for s in list(alive):
                try:
                    s.sendall(text[i:i + 1])
                except OSError:
                    alive.discard(s)
            if over.wait(0.3):
                return

    dripping = threading.Thread(target=drip)
    dripping.start()
    for kind, sockets in (("head", heads), ("body", bodies)):
        said = []
        for s in sockets:
            try:
                with s.makefile("rb") as stream:
                    answer = site.read_answer(stream)
                    said.append((answer or ["nothing"])[0])
            except OSError as e:
                said.append(str(e))
        took = time.monotonic() - begin
        expect(said == [408] * len(sockets), f"a slow {kind} is answered by 408, after {took:.1f} s: {said}")
        expect(took >= PATIENCE_S * 0.9, f"and not before its {PATIENCE_S} s are over")
    over.set()
    dripping.join()
    ended = 0
    give_up = time.monotonic() + END_S_MAX
    while server.figures()["timed_out"] - before < 9 and time.monotonic() < give_up:
        time.sleep(0.1)
    for s in answers:
        try:
            got = 0
            while (part := s.recv(1 << 20)):
                got += len(part)
            ended += got < site.LARGE_BYTES
        except OSError:
            ended += 1
    expect(ended == len(answers), f"{ended} of {len(answers)} who do not read are closed")
    timed_out = server.figures()["timed_out"] - before
    expect(timed_out == 9, f"the server counts {timed_out} that were too slow")
    too_slow = server.figures()["bodies_too_slow"]
    expect(too_slow == len(bodies), f"{too_slow} of them by the rate of their bodies")
    normal.end("nine slow clients")
    for s in heads + bodies + answers:
        s.close()


def check_slowhttptest(server, tool, kind):
    before = server.figures()["timed_out"]
    normal = Normal(server)
    reads = kind == "answers"
    path = "/large.bin" if reads else "/small.txt"
    out = []
    attack = threading.Thread(target=lambda: out.append(site.run(
        tool, "-c", CLIENTS, "-r", CLIENTS, "-l", SLOW_READS_S if reads else END_S_MAX, "-p", 10, *SLOWHTTPTEST[kind], "-u", server.url + path,
        seconds=END_S_MAX + 30)))
    begin = time.monotonic()
    attack.start()
    if reads:
        give_up = time.monotonic() + SLOW_READS_S
        while server.figures()["timed_out"] - before < CLIENTS and time.monotonic() < give_up:
            time.sleep(0.1)
        unsent = unsent_bytes(server.port)
        expect(attack.is_alive() and unsent <= UNSENT_BYTES_MAX,
               f"{kind}: {unsent} bytes of their answers are kept {time.monotonic() - begin:.1f} s after they began")
    attack.join()
    code, said, err = out[0]
    text = re.sub(r"\x1b\[[0-9;]*m", "", said.decode(errors="replace"))
    figure = {m[1]: int(m[2]) for m in re.finditer(r"^(initializing|pending|connected|error|closed):\s+(\d+)", text, re.M)}
    status = re.findall(r"Exit status: (.*)", text)
    expect(code is not None and (reads or "No open connections left" in text),
           f"slowhttptest, {kind}: {figure} after {time.monotonic() - begin:.1f} s; {status or err[-200:]}")
    timed_out = server.figures()["timed_out"] - before
    expect(timed_out >= CLIENTS * 0.9, f"{kind}: {timed_out} of {CLIENTS} were ended as too slow")
    normal.end(f"{CLIENTS} slow {kind}")


def main():
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        root.chmod(0o755)
        site.make_files(root)
        server = site.Server(sys.argv[1], root, "--head", str(PATIENCE_S), "--stall", str(PATIENCE_S))
        if sys.argv[2] == "sockets":
            check_sockets(server)
        else:
            tool = site.find("slowhttptest", "slowhttptest")
            for kind in SLOWHTTPTEST:
                check_slowhttptest(server, tool, kind)
        n = server.figures()
        expect(n["responses_5xx"] == 0 and n["handler_errors"] == 0 and n["accept_errors"] == 0, f"no error of its own: {n}")
        expect(server.quiet(30), "in the end no connection is open")
        server.end()
    site.finish()


if __name__ == "__main__":
    main()
