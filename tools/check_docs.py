#!/usr/bin/env python3
"""check_docs: every ```cpp block of README.md and docs/**/*.md compiles against weft.

  ```cpp            a file of its own; with `int main` it is linked, too
  ```cpp run        as above, and run: it must end with 0 within 30 s
  ```cpp fragment   statements, compiled as the body of a coroutine

weft/weft.hpp is included for a block that includes nothing. Pseudo-code is ```text. A finding names the
Markdown file and the line in it. Results are remembered by the content of the block and of the library."""
import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import tree

BLOCK = re.compile(r"^( *)```(cpp|c\+\+)[ \t]*([^\n`]*)\n(.*?)^ *```[ \t]*$", re.M | re.S)
RUN_TIMEOUT_S = 30


def blocks():
    pages = [p for p in [tree.ROOT / "README.md"] if p.exists()] + sorted((tree.ROOT / "docs").rglob("*.md"))
    for page in pages:
        text = page.read_text()
        for match in BLOCK.finditer(text):
            indent, _, info, body = match.groups()
            if indent:
                body = re.sub(rf"^{indent}", "", body, flags=re.M)
            yield page.relative_to(tree.ROOT), text.count("\n", 0, match.start(4)) + 1, info.split(), body


def program(page, line, info, body):
    """The block as a whole file, with #line so that the compiler speaks of the page."""
    include = "" if re.search(r"^\s*#\s*include\b", body, re.M) else "#include <weft/weft.hpp>\n"
    place = f'#line {line} "{page}"\n'
    if "fragment" not in info:
        return include + place + body
    return ("#include <weft/weft.hpp>\nusing namespace std::chrono_literals;\n"
            "[[maybe_unused]] static weft::task<void> fragment() {\n" + place + body + "\nco_return;\n}\n")


class Ahead:
    """weft/weft.hpp compiled ahead, once, when the first block asks: most of a block's time is that header.
    Only for what begins with it: a block that names its headers must name all that it needs."""

    def __init__(self, compiler, common):
        self.compiler, self.common, self.folder, self.words = compiler, common, None, []

    def for_text(self, text):
        if not text.startswith("#include <weft/weft.hpp>\n") or "clang" not in Path(self.compiler).name:
            return []  # GCC takes it from standard input, but not with other warnings than it was made with
        if self.folder is None:
            self.folder = tempfile.TemporaryDirectory()
            header, made = Path(self.folder.name) / "ahead.hpp", Path(self.folder.name) / "ahead.pch"
            header.write_text("#include <weft/weft.hpp>\n")
            built = subprocess.run([self.compiler, *self.common, "-x", "c++-header", str(header), "-o", str(made)],
                                   capture_output=True, text=True, cwd=tree.ROOT)
            if built.returncode == 0:  # else every block says by itself what is wrong
                self.words = ["-include-pch", str(made)]
        return self.words


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=tree.ROOT / "build/dev")
    options = parser.parse_args()

    flags = tree.flags(options.build)
    compiler, archive = " ".join(flags["compiler"]), Path(" ".join(flags["archive"]))
    common = [*flags["cxxflags"], "-I", str(tree.ROOT), "-Wall", "-Wextra", "-Werror"]
    # A fragment may show a value that it does not go on to use.
    for_fragments = ["-Wno-unused-variable", "-Wno-unused-but-set-variable", "-Wno-unused-function"]
    contents, memory = tree.Contents(), tree.Memory(options.build, "check-docs")
    ahead = Ahead(compiler, common)
    library = hashlib.sha256(archive.read_bytes()).hexdigest() if archive.exists() else "none"
    compiled = unchanged = failed = 0

    def fail(page, line, what, said):
        nonlocal failed
        failed += 1
        print(f"{page}:{line}: {what}\n{said}", flush=True)

    for page, line, info, body in blocks():
        text = program(page, line, info, body)
        whole = "fragment" not in info and re.search(r"\bint\s+main\s*\(", body) is not None
        if "run" in info and not whole:
            fail(page, line, "a block marked `run` has no int main", "")
            continue
        key = contents.key(text, *common, *info, library if whole else "")
        if memory.get(key):
            unchanged += 1
            continue
        compiled += 1
        if not whole:
            ok, said = tree.compile_text(
                compiler, ["-fsyntax-only", *common, *(for_fragments if "fragment" in info else []),
                           *ahead.for_text(text)], text)
        else:
            with tempfile.TemporaryDirectory() as folder:
                source, binary = Path(folder) / "block.cpp", Path(folder) / "block"
                source.write_text(text)
                built = subprocess.run([compiler, *common, *ahead.for_text(text), str(source), "-o", str(binary), str(archive),
                                        *flags["libs"]], capture_output=True, text=True, cwd=tree.ROOT)
                ok, said = built.returncode == 0, built.stderr
                if ok and "run" in info:
                    try:
                        ran = subprocess.run([str(binary)], capture_output=True, text=True, cwd=folder,
                                             stdin=subprocess.DEVNULL, timeout=RUN_TIMEOUT_S)
                        ok, said = ran.returncode == 0, f"exit code {ran.returncode}\n{ran.stdout}{ran.stderr}"
                    except subprocess.TimeoutExpired:
                        ok, said = False, f"it did not end within {RUN_TIMEOUT_S} s"
        if ok:
            memory.put(key, True)
        else:
            fail(page, line, "this block does not " + ("run" if said.startswith(("exit", "it did")) else "compile"),
                 said)
    memory.save()
    print(f"docs: {compiled + unchanged} blocks, {unchanged} unchanged, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
