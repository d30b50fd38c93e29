"""The example server as users meet it: started on a free port, asked by curl, loaded by wrk, ended by
signals. Exit code 0: every promise was kept. Usage: serve_end_to_end.py PROGRAM"""

import atexit
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PROGRAM = sys.argv[1]
CURL = ["curl", "-s", "--max-time", "30", "--noproxy", "*"]
failures = []


def expect(condition, what):
    print(("ok    " if condition else "FAIL  ") + what, flush=True)
    if not condition:
        failures.append(what)


class Server:
    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [PROGRAM, "--port", "0", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        atexit.register(self.process.kill)  # should a check raise; nothing if it has ended
        self.first_line = self.process.stdout.readline()
        found = re.search(r"(http://127\.0\.0\.1:(\d+))/", self.first_line)
        if not found:
            sys.exit("the server did not start: " + self.first_line + self.process.communicate()[1])
        self.url, self.port = found.group(1), int(found.group(2))

    def end(self, number):
        """Sends the signal. Gives the exit code, the seconds it took, and what was said."""
        begin = time.monotonic()
        self.process.send_signal(number)
        try:
            out, err = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            return None, 20.0, ""
        return self.process.returncode, time.monotonic() - begin, out + err


def curl(*arguments):
    return subprocess.run([*CURL, *arguments], stdout=subprocess.PIPE).stdout


def code(*arguments):
    return curl("-o", os.devnull, "-w", "%{http_code}", *arguments).decode()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def make_site(folder):
    root = folder / "site"
    (root / "sub").mkdir(parents=True)
    (root / "index.html").write_text("<h1>hello</h1>")
    (root / "small.txt").write_text("0123456789")
    (root / "sub" / "inner.txt").write_text("inner")
    block = os.urandom(1 << 20)
    with open(root / "large.bin", "wb") as file:
        for i in range(100):
            file.write(block[i:] + block[:i])
    (folder / "secret").write_text("secret")
    return root


def check_files(server, root, folder):
    large = (root / "large.bin").read_bytes()
    target = folder / "got"
    curl("-o", str(target), server.url + "/large.bin")
    expect(target.read_bytes() == large, "100 MB arrive with sha256 " + sha256(large)[:16])
    got = curl("-r", "50000000-50999999", server.url + "/large.bin")
    expect(got == large[50000000:51000000], "a range of it is the right million bytes")
    expect(code("-r", "5-", server.url + "/small.txt") == "206", "a range is 206")
    expect(code("-r", "10-", server.url + "/small.txt") == "416", "a range behind the end is 416")
    expect(curl(server.url + "/") == b"<h1>hello</h1>", "/ is index.html")
    listing = curl(server.url + "/sub/")
    expect(b"inner.txt" in listing and b"large.bin" not in listing, "/sub/ is a listing of its own")
    expect(curl("-w", "%{redirect_url}", "-o", os.devnull, server.url + "//sub").decode()
           == server.url + "/sub/", "a folder without its slash is redirected on this host")
    head = curl("-I", server.url + "/large.bin").decode().lower()
    expect("content-length: 104857600" in head, "HEAD tells the length")
    tag = re.search(r'etag: (".*?")', head).group(1)
    expect(code("-H", "If-None-Match: " + tag, server.url + "/large.bin") == "304",
           "a client that has it gets 304")


def check_ways_out(server):
    for path in ("/../secret", "/..%2fsecret", "/%2e%2e/secret", "/%2e%2e%2fsecret", "/.%2e/secret",
                 "/..%5csecret", "/%252e%252e/secret", "/sub/../../secret", "//../secret",
                 "/..%c0%afsecret", "/../../../../../../etc/passwd", "/%00"):
        got = code("--path-as-is", server.url + path)
        expect(got in ("400", "404"), "%s is no way out: %s" % (path, got))


def check_live_page(server):
    page = curl(server.url + "/_weft").decode()
    expect("metrics.json" in page, "/_weft is the live page")
    figures = json.loads(curl(server.url + "/_weft/metrics.json"))
    expect(figures["server"]["requests"] > 0 and figures["runtime"]["workers"] > 0,
           "metrics.json has figures; I/O waits in " + figures["runtime"]["driver"])
    for host in ("evil.example", "evil.example:%d" % server.port, "localhost.evil.example"):
        expect(code("-H", "Host: " + host, server.url + "/_weft/metrics.json") == "421",
               "another host's page cannot read it: " + host)
    expect(code("-H", "Host: localhost:%d" % server.port, server.url + "/_weft/metrics.json")
           == "200", "localhost can")


def load(server, seconds):
    """A crowd of clients that only stop when the server does. Gives the number of answers."""
    answered = [0]
    end = time.monotonic() + seconds

    def client():
        try:
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as s:
                while time.monotonic() < end:
                    s.sendall(b"GET /small.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    if not s.recv(65536):
                        return
                    answered[0] += 1
        except OSError:
            pass

    threads = [threading.Thread(target=client) for _ in range(16)]
    for t in threads:
        t.start()
    return threads, answered


def check_wrk(server):
    wrk = shutil.which("wrk")
    if not wrk:
        print("      wrk is not installed: left out")
        return
    said = subprocess.run([wrk, "-t1", "-c64", "-d2s", server.url + "/small.txt"],
                          stdout=subprocess.PIPE, text=True).stdout
    rate = re.search(r"Requests/sec:\s*([\d.]+)", said)
    expect(rate and float(rate.group(1)) > 100, "wrk: " + (rate.group(0) if rate else said))
    expect("Socket errors" not in said and "Non-2xx" not in said, "wrk saw no error")


def check_ends(root):
    for number in (signal.SIGINT, signal.SIGTERM):
        server = Server("--dir", str(root))
        threads, answered = load(server, 20)
        slow = socket.create_connection(("127.0.0.1", server.port))
        slow.sendall(b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")  # and never read
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
        time.sleep(0.7)
        result, seconds, said = server.end(number)
        expect(answered[0] > 0, "%s: %d answers before it" % (number.name, answered[0]))
        expect(result == 0, "%s under load: exit code %s %s" % (number.name, result, said.strip()))
        expect(seconds < 2, "%s under load: ended in %.2f s" % (number.name, seconds))
        for t in threads:
            t.join()
        for s in [slow, *idle]:
            s.close()


def check_messages(root):
    def refused(*arguments):
        run = subprocess.run([PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True, timeout=20)
        return run.returncode, run.stderr

    server = Server("--dir", str(root))
    result, said = refused("--port", str(server.port), "--dir", str(root))
    expect(result == 1 and "in use" in said and "--port" in said, "port in use: " + said.strip())
    server.end(signal.SIGTERM)
    result, said = refused("--dir", str(root / "missing"))
    expect(result == 1 and "missing" in said, "no such folder: " + said.strip())
    for arguments in (("--port", "70000"), ("--port", "x"), ("--port",), ("--color",)):
        result, said = refused(*arguments)
        expect(result == 2 and "usage" in said, "%s: %s" % (arguments, said.splitlines()[0]))
    result, said = refused("--address", "localhost")
    expect(result == 1 and "IP address" in said, "--address localhost: " + said.strip())


with tempfile.TemporaryDirectory() as name:
    site = make_site(pathlib.Path(name))
    one = Server("--dir", str(site))
    expect(str(site) in one.first_line, one.first_line.strip())
    check_files(one, site, pathlib.Path(name))
    check_ways_out(one)
    check_live_page(one)
    check_wrk(one)
    ended, took, text = one.end(signal.SIGINT)
    expect(ended == 0 and took < 2, "SIGINT when idle: code %s in %.2f s; %s" % (ended, took, text.strip()))
    expect("ERROR: " not in text and "WARNING: " not in text, "no sanitizer has anything to say")
    check_ends(site)
    check_messages(site)
sys.exit(1 if failures else 0)
