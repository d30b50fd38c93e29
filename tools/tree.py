"""tree: what the checks share: the headers of this platform, the compile flags of a build, and a memory
of what has already been compiled, keyed by the content of everything that goes in."""
import hashlib
import json
import os
import platform
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]((?:weft|tests)/[^>"]+)[>"]', re.M)
JOBS = min(2, os.cpu_count() or 1)
TIMEOUT_S = 120


def flags(build):
    """flags.txt of a configured build, as {key: [words]}."""
    path = Path(build) / "flags.txt"
    if not path.exists():
        raise SystemExit(f"{path} is missing: configure first (./test does), or name a build with --build")
    return {line.split(" ", 1)[0]: line.split()[1:] for line in path.read_text().splitlines() if line}


def headers():
    """All headers of weft that this platform compiles, as "weft/..." names, sorted."""
    text = (ROOT / "cmake/platform.cmake").read_text()
    words = re.search(r"set\(WEFT_PLATFORM_WORDS\s+([^)]*)\)", text).group(1).split()
    active = re.search(rf"set\(WEFT_ACTIVE_{platform.system()} ([^)]*)\)", text).group(1).split()
    foreign = "|".join(w for w in words if w not in active + [platform.machine()])
    return [str(p.relative_to(ROOT)) for p in sorted((ROOT / "weft").rglob("*.hpp"))
            if not re.search(rf"_({foreign})(_|$)", p.stem)]


class Contents:
    """The hash of a text and of all our headers that it includes, directly or not."""

    def __init__(self):
        self.texts = {}

    def read(self, name):
        if name not in self.texts:
            path = ROOT / name
            self.texts[name] = path.read_text(errors="replace") if path.exists() else ""
        return self.texts[name]

    def closure(self, text):
        """The names of all our headers that a text includes, directly or not, sorted."""
        seen, todo = set(), INCLUDE.findall(text)
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += INCLUDE.findall(self.read(name))
        return sorted(seen)

    def key(self, text, *more):
        digest = hashlib.sha256("\0".join([text, *map(str, more)]).encode())
        for name in self.closure(text):
            digest.update(f"\0{name}\0{self.read(name)}".encode())
        return digest.hexdigest()


class Memory:
    """What earlier runs found out, in build/<preset>/<name>.json. Failures are not remembered."""

    def __init__(self, build, name):
        self.path = Path(build) / f"{name}.json"
        self.new = {}
        try:
            self.old = json.loads(self.path.read_text())
        except (OSError, ValueError):
            self.old = {}

    def get(self, key):
        if key in self.old:
            self.new[key] = self.old[key]
        return self.new.get(key)

    def put(self, key, value):
        self.new[key] = value

    def save(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False) as out:
            json.dump(self.new, out)
        os.replace(out.name, self.path)  # whole or not at all: two runs may meet


def version(compiler):
    """One line that names the compiler, or None where it is not installed."""
    try:
        return subprocess.run([compiler, "--version"], capture_output=True, text=True,
                              check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError):
        return None


def compile_text(compiler, arguments, text):
    """Compiles C++ from standard input; returns (ok, what it said)."""
    try:
        done = subprocess.run([compiler, *arguments, "-x", "c++", "-"], input=text, text=True,
                              capture_output=True, cwd=ROOT, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return False, f"{compiler} did not end within {TIMEOUT_S} s"
    return done.returncode == 0, done.stderr


def in_parallel(function, items):
    with ThreadPoolExecutor(JOBS) as pool:
        return list(pool.map(function, items))
