"""What the tests with other people's clients share: examples/serve on a folder, and what it said and did."""
import atexit
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

SKIPPED = 77  # CTest shows it as that
LARGE_BYTES = 8 << 20
wrong = []


def expect(good, what):
    print(("ok    " if good else "FAIL  ") + what, flush=True)
    if not good:
        wrong.append(what)


def skip(why):
    print(f"skipped: {why}", flush=True)
    sys.exit(SKIPPED)


def find(package, *names):
    """The path of the first of these programs that is here; without any the test is skipped, and it is said what to install."""
    for name in names:
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
        if found:
            return found
    skip(f"{names[0]} is not installed (Debian: apt-get install {package})")


def run(*command, seconds=60):
    """Result: exit code, output, errors; None as the code if it had to be ended."""
    with subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, start_new_session=True) as p:
        try:
            out, err = p.communicate(timeout=seconds)
            return p.returncode, out, err.decode(errors="replace")
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)  # a browser has children
            out, err = p.communicate()
            return None, out, err.decode(errors="replace")


def make_files(root):
    """small.txt, large.bin, and a page with what a browser has to get for it. Result: the bytes of large.bin."""
    large = random.Random(7).randbytes(LARGE_BYTES)
    (root / "large.bin").write_bytes(large)
    (root / "small.txt").write_text("0123456789")
    (root / "index.html").write_text("""<!doctype html><html lang="en"><meta charset="utf-8"><title>page</title>
<link rel="stylesheet" href="style.css"><script src="first.js"></script><script src="second.js"></script>
<body><p id="p">text</p><img id="i" src="picture.svg" alt="">
<script>
addEventListener("load", async () => {
  const got = [first, second, getComputedStyle(document.getElementById("p")).color,
               document.getElementById("i").naturalWidth];
  const texts = await Promise.all([...Array(20)].map((_, k) => fetch("small.txt?" + k).then(r => r.text())));
  const large = await (await fetch("large.bin")).arrayBuffer();
  const part = await fetch("large.bin", {headers: {Range: "bytes=5-14"}});
  got.push(texts.filter(t => t === "0123456789").length, large.byteLength, part.status);
  document.body.dataset.got = got.join("|");
});
</script></body></html>
""")
    (root / "style.css").write_text("#p { color: rgb(1, 2, 3); }\n")
    (root / "first.js").write_text("const first = 'one';\n")
    (root / "second.js").write_text("const second = 'two';\n")
    (root / "picture.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="17" height="9"></svg>\n')
    return large


PAGE_SAYS = f"one|two|rgb(1, 2, 3)|17|20|{LARGE_BYTES}|206"


class Server:
    def __init__(self, program, root, *arguments):
        self.process = subprocess.Popen([program, "--port", "0", "--dir", str(root), *arguments],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        atexit.register(self.process.kill)  # should a check raise; nothing if it has ended
        first = self.process.stdout.readline()
        found = re.search(r"(http://127\.0\.0\.1:(\d+))/", first)
        if not found:
            sys.exit("the server did not start: " + first + self.process.communicate()[1])
        self.url, self.port = found[1], int(found[2])

    def figures(self):
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(self.url + "/_weft/metrics.json", timeout=60) as answer:
            return json.load(answer)["server"]

    def quiet(self, seconds):
        """Waits until no connection is open but the one that asks. Result: whether that came."""
        give_up = time.monotonic() + seconds
        while self.figures()["connections_open"] > 1:
            if time.monotonic() > give_up:
                return False
            time.sleep(0.1)
        return True

    def end(self):
        self.process.send_signal(signal.SIGINT)
        try:
            out, err = self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            err += " it had to be killed"
        expect(self.process.returncode == 0 and not err, f"serve ended with {self.process.returncode}: {out.strip()} {err}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def connected(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as s:
        yield s, s.makefile("rb")


def read_answer(stream, head_only=False):
    """Of one HTTP answer with a length: status, fields, body. None at the end of the stream."""
    line = stream.readline()
    if not line:
        return None
    fields = {}
    while (field := stream.readline().strip()):
        name, _, value = field.decode("latin-1").partition(":")
        fields[name.lower()] = value.strip()
    status = int(line.split()[1])
    body = b"" if head_only or status < 200 else stream.read(int(fields.get("content-length", 0)))
    return status, fields, body


def finish():
    sys.exit(1 if wrong else 0)
