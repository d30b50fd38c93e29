#!/usr/bin/env python3
"""check_layers: reads the layer tables of ARCHITECTURE.md and every file of weft/, and fails on

  layer           an include of a folder that the file's row does not name
  include-form    an include that is not written from the root ("weft/sync/semaphore.hpp")
  std-atomic      std::atomic outside base/atomic.hpp and weft/testing
  platform-if     #if on a system or a CPU outside base/config.hpp and files named after a platform
  os-header       an operating-system or third-party header in a public header
  public-surface  such a header reached from weft/weft.hpp through other headers

A line that must break a rule says so on it or above it:  // check: allow RULE: the reason
--self-test plants one violation of each in a scratch tree and expects to find it, and nothing else.
"""
import argparse
import re
import sys
import tempfile
from pathlib import Path

KIND = re.compile(r"_(test|stress|model|fuzz|bench)(?:_support)?$")  # x_test_support.hpp is for tests, too
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:<([^>]+)>|"([^"]+)")')
PLATFORM = re.compile(
    r"^\s*#\s*(?:el)?if\w*\b.*\b(__linux__|__linux|__gnu_linux__|__ANDROID__|_WIN32|_WIN64|__MINGW32__"
    r"|__MINGW64__|__CYGWIN__|__APPLE__|__MACH__|__FreeBSD__|__OpenBSD__|__NetBSD__|__DragonFly__"
    r"|__unix__|__unix|__x86_64__|__amd64__|_M_X64|__i386__|__aarch64__|_M_ARM64|__arm__|__riscv)\b")
OS_HEADER = re.compile(
    r"^(?:(?:sys|linux|asm|netinet|arpa|net|mach|openssl|llhttp|machine)/.*"
    r"|(?:unistd|pthread|fcntl|poll|sched|signal|semaphore|dlfcn|netdb|termios|ucontext|spawn|ifaddrs"
    r"|dirent|pwd|grp|ftw|execinfo|syslog|utime|langinfo|winsock2|ws2tcpip|mswsock|windows|liburing"
    r"|llhttp|numa|event)\.h)$")
ALLOW = re.compile(r"//\s*check:\s*allow\s+([\w-]+)\s*:\s*\S")
INTERNAL = re.compile(r"^//.*\b[Ii]nternal\b")


def platform_words(root):
    text = (root / "cmake/platform.cmake").read_text()
    return re.search(r"set\(WEFT_PLATFORM_WORDS\s+([^)]*)\)", text).group(1).split()


def blank_out(text):
    """The text without comments and literals, line for line (includes keep their names)."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)

    def replace(match):
        found = match.group(0)
        if found.startswith('"'):
            before = text[text.rfind("\n", 0, match.start()) + 1:match.start()]
            return found if re.match(r"\s*#\s*include\s*$", before) else '""'
        return "\n" * found.count("\n") or " "

    return token.sub(replace, text)


class Rules:
    """The two tables of ARCHITECTURE.md."""

    def __init__(self, page):
        self.may, self.never, self.row, self.arrows = {}, {}, {}, []
        names = re.compile(r"`([^`]+)`")
        table = None
        for line in page.splitlines():
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if line.startswith("| layer | folders |"):
                table = "layers"
            elif line.startswith("| arrow | to |"):
                table = "arrows"
            elif not line.startswith("|"):
                table = None
            elif line.startswith("|---"):
                continue
            elif table == "layers":
                for folder in names.findall(cells[1]):
                    self.may[folder] = set(names.findall(cells[2]))
                    self.never[folder] = {n for n in names.findall(cells[3]) if "/" in n}
                    self.row[folder] = f"layer {cells[0]} ({folder})"
            elif table == "arrows":
                self.arrows += [(a, b) for a in names.findall(cells[0]) for b in names.findall(cells[1])]
        if not self.may:
            sys.exit("ARCHITECTURE.md has no table that begins with | layer | folders |")

    def folder_of(self, path):
        """The folder of the table that holds weft/<path>: the longest one that fits."""
        fits = [f for f in self.may if path.startswith(f + "/")]
        return max(fits, key=len) if fits else None

    def problem(self, source, target):
        """Why weft/<source> may not include weft/<target>, or None."""
        if any(source == a or source.startswith(a + "/") for a, b in self.arrows
               if b == "all" or target == b or target.startswith(b + "/")):
            return None
        here, there = self.folder_of(source), self.folder_of(target)
        if here is None:  # weft/fwd.hpp and its like are below everything
            return None if there is None else (
                f"a header directly in weft/ includes {there}",
                "only weft.hpp gathers the layers; declare the name instead, or move the header into a layer")
        if there is None:
            return None if target == "fwd.hpp" else (
                f"{here} includes {target}, which belongs to no layer",
                "include the one header you need; the umbrella is for users' programs")
        if target.rsplit(".", 1)[0] in self.never[here]:
            return (f"{self.row[here]} never includes {target}",
                    "use the folder's public header, or move what you need into one")
        if here == there or there in self.may[here] or "all" in self.may[here]:
            return None
        allowed = ", ".join(sorted(self.may[here])) or "nothing of weft"
        return (f"{self.row[here]} may include {allowed}; {there} is {self.row[there].split(' (')[0]}",
                "turn the arrow round: declare a hook below that the upper layer fills in, or move the "
                "shared part down; a new arrow needs a line with its reason in ARCHITECTURE.md")


class Check:
    def __init__(self, root):
        self.root = root
        self.rules = Rules((root / "ARCHITECTURE.md").read_text())
        words = "|".join(platform_words(root))
        self.platform_name = re.compile(rf"_({words})$")
        self.found = []
        self.includes = {}  # header -> [(line, name, is_allowed)]
        self.headers_with_os = {}

    def platform_file(self, path):
        return self.platform_name.search(KIND.sub("", path.stem)) is not None

    def say(self, path, line, rule, what, remedy):
        self.found.append((str(path.relative_to(self.root)), line, rule, what, remedy))

    def file(self, path):
        inside = str(path.relative_to(self.root / "weft"))
        kind = KIND.search(path.stem)
        kind = kind.group(1) if kind else ""
        text = path.read_text(errors="replace")
        raw, lines = text.splitlines(), blank_out(text).splitlines()
        header = path.suffix == ".hpp"
        # The model checker is built into model programs only, never into a user's.
        internal = kind or self.platform_file(path) or inside.startswith("testing/model/") or (
            inside.startswith("os/") and any(INTERNAL.match(line) for line in raw[:12]))

        def allowed(number, rule):
            here = raw[number - 1:number] + (raw[number - 2:number - 1] if number > 1 else [])
            return any(m and m.group(1) == rule for m in map(ALLOW.search, here))

        def say(number, rule, what, remedy):
            if not allowed(number, rule):
                self.say(path, number, rule, what, remedy)

        for number, line in enumerate(lines, 1):
            include = INCLUDE.match(line)
            if include:
                name = include.group(1) or include.group(2)
                if name.startswith("weft/"):
                    if header:
                        self.includes.setdefault(inside, []).append((number, name[5:]))
                    if not kind:
                        problem = self.rules.problem(inside, name[5:])
                        if problem:
                            say(number, "layer", *problem)
                elif include.group(2) and not kind and not OS_HEADER.match(name):
                    say(number, "include-form", f'"{name}" is not written from the root',
                        f'write "weft/<folder>/{Path(name).name}", the same in the tree and installed')
                if name == "atomic" and not self.may_use_atomic(inside, kind):
                    say(number, "std-atomic", "<atomic> costs 430 ms a file and hides from the model checker",
                        'include "weft/base/atomic.hpp"')
                if header and OS_HEADER.match(name):
                    if not internal:
                        say(number, "os-header", f"a public header includes <{name}>",
                            "include it in the .cpp and keep an opaque value in the header; a header for "
                            "our own sources is named after its platform (x_linux.hpp) or stands in os/ "
                            "with the word Internal in its first comment")
                    if not allowed(number, "os-header"):
                        self.headers_with_os[inside] = name
            if not self.may_use_atomic(inside, kind) and re.search(
                    r"\bstd::(atomic\b|atomic_(ref|flag|thread_fence|signal_fence|bool|int|uint)|memory_order)", line):
                say(number, "std-atomic", "std::atomic is invisible to the model checker",
                    "use weft::atomic, weft::fence and weft::order from weft/base/atomic.hpp")
            if PLATFORM.match(line) and inside != "base/config.hpp" and not self.platform_file(path):
                say(number, "platform-if", f"#if on {PLATFORM.match(line).group(1)}",
                    "put each system's code into a file named after it (x_linux.cpp) and let "
                    "cmake/platform.cmake choose, or give base/config.hpp a WEFT_ name to ask for")

    @staticmethod
    def may_use_atomic(inside, kind):
        return inside == "base/atomic.hpp" or inside.startswith("testing/") or kind in (
            "test", "stress", "fuzz", "bench")

    def public_surface(self):
        seen, todo = {"weft.hpp": None}, ["weft.hpp"]
        while todo:
            header = todo.pop()
            if header in self.headers_with_os and self.platform_or_os(header):
                chain, at = [], header
                while at:
                    chain.append(at)
                    at = seen[at]
                via = chain[1] if len(chain) > 1 else header
                self.say(self.root / "weft" / via,
                         next((n for n, t in self.includes.get(via, []) if t == header), 1), "public-surface",
                         f"<{self.headers_with_os[header]}> reaches every user: " + " <- ".join(chain),
                         "forward-declare here and include the internal header in the .cpp")
            for _, target in self.includes.get(header, []):
                if target not in seen:
                    seen[target] = header
                    todo.append(target)

    def platform_or_os(self, header):
        return header.startswith(("os/", "testing/model/")) or self.platform_file(Path(header))

    def tree(self):
        for path in sorted((self.root / "weft").rglob("*")):
            if path.suffix in (".hpp", ".cpp", ".S") and path.is_file():
                self.file(path)
        self.public_surface()
        return self.found


def report(found):
    for path, line, rule, what, remedy in found:
        print(f"{path}:{line}: {rule}: {what}\n    remedy: {remedy}")


def self_test(root):
    planted = {
        "weft/base/atomic.hpp": ("#include <atomic>\n", None),
        "weft/base/config.hpp": ("#if defined(__linux__)\n#endif\n", None),
        "weft/base/up.hpp": ('#include "weft/os/futex.hpp"\n', "layer"),
        "weft/os/futex.hpp": ('#include "weft/base/config.hpp"\n#include <cstdint>\n', None),
        "weft/os/fd.hpp": ("// fd: descriptors.\n// Internal: for our own sources.\n#include <unistd.h>\n", None),
        "weft/sync/beside.hpp": ('#include "weft/channel/mpmc.hpp"\n', "layer"),
        "weft/sync/beside_test.cpp": ('#include "weft/runtime/runtime.hpp"\n#include <atomic>\n', None),
        "weft/sync/arrow.hpp": ("#include <weft/task/task.hpp>\n", None),
        "weft/net/inside.cpp": ('#include "weft/runtime/worker.hpp"\n', "layer"),
        "weft/net/ok.cpp": ('#include "weft/runtime/runtime.hpp"\n#include "weft/runtime/worker_thread.hpp"\n', None),
        "weft/http/tls.cpp": ('#include "weft/tls/stream.hpp"\n', None),
        "weft/tls/http.cpp": ('#include "weft/http/server.hpp"\n', "layer"),
        "weft/task/form.cpp": ('#include "../base/config.hpp"\n', "include-form"),
        "weft/task/comment.hpp": ("// std::atomic is not used here\n/* #if __linux__\n*/\n"
                                  'const char* s = "std::atomic<int>";\n', None),
        "weft/task/std.hpp": ("#include <cstdint>\nstd::atomic<int> x;\n", "std-atomic"),
        "weft/task/std2.cpp": ("#include <atomic>\n", "std-atomic"),
        "weft/task/allowed.hpp": ("// check: allow std-atomic: part of the public interface\n"
                                  "void wait(std::atomic<int>&);\n", None),
        "weft/task/no_reason.hpp": ("// check: allow std-atomic:\nvoid wait(std::atomic<int>&);\n", "std-atomic"),
        "weft/queue/std_model.cpp": ("std::atomic<int> x;\n", "std-atomic"),
        "weft/io/platform.cpp": ("  #  ifdef _WIN32\n#endif\n", "platform-if"),
        "weft/io/platform2.cpp": ("#if 1\n#elif defined(__aarch64__)\n#endif\n", "platform-if"),
        "weft/io/driver_uring.hpp": ("#ifdef __linux__\n#endif\n#include <linux/io_uring.h>\n", None),
        "weft/io/x_test_support.hpp": ('#include <poll.h>\n#include "weft/runtime/worker.hpp"\n', None),
        "weft/io/handle.hpp": ("#include <sys/socket.h>\n", "os-header"),
        "weft/io/leak.hpp": ('#include "weft/io/driver_uring.hpp"\n', "public-surface"),
        "weft/testing/model/engine.hpp": ('#include "weft/base/atomic.hpp"\n#include <atomic>\n', None),
        "weft/testing/model/fiber.hpp": ("#include <ucontext.h>\n", None),
        "weft/testing/model/up.hpp": ('#include "weft/task/task.hpp"\n', "layer"),
        "weft/sim/all.hpp": ('#include "weft/runtime/worker.hpp"\n', None),
        "weft/runtime/hook.hpp": ('#include "weft/observe/tracing.hpp"\n', "layer"),
        "weft/weft.hpp": ("#include <weft/io/leak.hpp>\n#include <weft/http/server.hpp>\n", None),
    }
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        (scratch / "cmake").mkdir()
        for name in ("ARCHITECTURE.md", "cmake/platform.cmake"):
            (scratch / name).write_text((root / name).read_text())
        for name, (text, _) in planted.items():
            path = scratch / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        found = Check(scratch).tree()
    wrong = 0
    for name, (_, rule) in planted.items():
        rules = [r for path, _, r, _, _ in found if path == name]
        if rules != ([rule] if rule else []):
            print(f"self-test: {name}: expected {rule or 'nothing'}, found {rules or 'nothing'}")
            wrong += 1
    print(f"self-test: {len(planted)} planted files, {wrong} wrong")
    return wrong == 0


def main():
    here = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=here)
    parser.add_argument("--build", help="not used; the checks are all called alike")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return 0 if self_test(options.root) else 1
    found = Check(options.root).tree()
    report(found)
    print(f"layers: {len(found)} violation{'s' if len(found) != 1 else ''}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
