"""build: the packages that programs need, how each kind of program is built, and their versions."""
import os
import re
import shutil
import sys
from pathlib import Path

from common import (BENCHMARKS, BUILD_S_MAX, COMPARE, JOBS_MAX, OUT, REGISTRY, ROOT, WEFT, Unavailable,
                    run, say)

# package (or several, of which the first that the system knows), what shows that it is here, why
NEEDS = {
    "c": [("clang-19", "clang-19", "the reference server and the load generator")],
    "go": [("golang-go", "go", "the Go peer")],
    "asio": [("g++", "g++", "the Asio peer (Debian's Asio has no coroutines with Clang 19)"),
             ("libasio-dev", "/usr/include/asio.hpp", "the Asio peer")],
    "tokio": [("cargo", "cargo", "the Tokio peer"), ("rustc", "rustc", "the Tokio peer"),
              ("librust-tokio-dev", f"{REGISTRY}/tokio-*", "the Tokio peer"),
              ("librust-hyper-dev", f"{REGISTRY}/hyper-*", "the hyper peer"),
              ("librust-flume-dev", f"{REGISTRY}/flume-*", "the channel that Tokio's users take")],
    "tbb": [("clang-19", "clang++-19", "the oneTBB peer"),
            ("libtbb-dev", "/usr/include/tbb/task_group.h", "the oneTBB peer")],
    "fiber": [("clang-19", "clang++-19", "the Boost.Fiber peer"),
              ("libboost-fiber1.81-dev|libboost-fiber-dev", "/usr/include/boost/fiber/all.hpp",
               "the Boost.Fiber peer")],
    "uv": [("clang-19", "clang++-19", "the libuv peer"),
           ("libuv1-dev", "/usr/include/uv.h", "the libuv peer")],
    "uring": [("clang-19", "clang++-19", "the plain io_uring programs"),
              ("liburing-dev", "/usr/include/liburing.h", "the plain io_uring programs")],
    "threads": [("clang-19", "clang++-19", "the threads that read files")],
    "wrk": [("wrk", "wrk", "the load on the HTTP servers")],
}


def present(mark):
    if not mark.startswith("/"):
        return shutil.which(mark) is not None
    path = Path(mark)
    return any(path.parent.glob(path.name))


def known(package):
    """The first of the alternatives that this system has."""
    names = package.split("|")
    for name in names[:-1]:
        if shutil.which("apt-cache") and re.search(r"Candidate: \d", run(["apt-cache", "policy", name], 60)):
            return name
    return names[-1]


def need(what):
    missing = [entry for entry in NEEDS[what] if not present(entry[1])]
    if not missing:
        return
    names = [known(package) for package, _, _ in missing]
    for package, (_, _, why) in zip(names, missing):
        say(f"bench: the Debian package {package} is not installed: {why}")
    by_hand = "apt-get update && apt-get install -y --no-install-recommends " + " ".join(names)
    if not shutil.which("apt-get"):
        raise Unavailable(f"please install the equivalents of {' '.join(names)} (there is no apt-get here)")
    if os.geteuid() != 0:
        raise Unavailable(f"installing needs root; please run: {by_hand}")
    say(f"bench: installing {' '.join(names)}")
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    get = ["apt-get", "-o", "DPkg::Lock::Timeout=300"]
    install = get + ["install", "-y", "--no-install-recommends", *names]
    try:
        run(install, BUILD_S_MAX, env=environment)
    except Unavailable:  # the lists may be missing or old
        run(get + ["update"], BUILD_S_MAX, env=environment)
        run(install, BUILD_S_MAX, env=environment)


def stale(program, *sources):
    """The build commands stand in this file, so it counts as a source of every peer."""
    if not program.exists():
        return True
    files = [f for s in sources for f in ([s] if s.is_file() else s.rglob("*")) if f.is_file()]
    return max(f.stat().st_mtime for f in [*files, Path(__file__)]) > program.stat().st_mtime


def build_c(name):
    program, source = OUT / "c" / name, COMPARE / "c"
    need("c")
    if stale(program, source):
        program.parent.mkdir(parents=True, exist_ok=True)
        run(["clang-19", "-std=c17", "-O3", "-Wall", "-Wextra", "-o", program, source / f"{name}.c"],
            BUILD_S_MAX)
    return program


def build_uring(name):
    program, source = OUT / "uring" / name, COMPARE / "uring"
    if (source / f"{name}.cpp").exists():
        return build_cpp("uring", name, "clang++-19", "-luring")
    need("uring")
    if stale(program, source, COMPARE / "c"):
        program.parent.mkdir(parents=True, exist_ok=True)
        run(["clang-19", "-std=c17", "-O3", "-Wall", "-Wextra", "-o", program, source / f"{name}.c", "-luring"],
            BUILD_S_MAX)
    return program


def build_threads(name):
    return build_cpp("threads", name, "clang++-19")


def nginx():
    """The system's, or one that was unpacked into the build folder: installing the package would start a
    web server for everybody on port 80."""
    folder = OUT / "nginx"
    there = [p for p in (shutil.which("nginx"), "/usr/sbin/nginx", folder / "usr" / "sbin" / "nginx")
             if p and os.access(p, os.X_OK)]
    if there:
        return there[0]
    by_hand = (f"mkdir -p {folder} && cd {folder} && apt-get download nginx && dpkg-deb -x nginx_*.deb . "
               "(or install nginx, which starts it)")
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Unavailable("please install nginx: there is no apt-get here")
    say("bench: the Debian package nginx is not here: unpacking it into the build folder, not installing it")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        run(["apt-get", "-o", "APT::Sandbox::User=root", "download", "nginx"], BUILD_S_MAX, cwd=folder)
        package = sorted(folder.glob("nginx_*.deb"))[-1]
        run(["dpkg-deb", "-x", package, folder], BUILD_S_MAX)
        run([folder / "usr" / "sbin" / "nginx", "-v"], BUILD_S_MAX)  # are its libraries here?
    except (Unavailable, IndexError) as why:
        raise Unavailable(f"{why}\nplease run: {by_hand}") from None
    return folder / "usr" / "sbin" / "nginx"


def build_nginx(name):
    """What starts it: the path of nginx and of its folder are known here."""
    binary, program = nginx(), OUT / "nginx" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{COMPARE}/nginx/{name}.py" "{binary}" '
                       f'"{OUT}/nginx/run" "$@"\n')
    program.chmod(0o755)
    return program


def build_go(name):
    program, source = OUT / "go" / name, COMPARE / "go"
    need("go")
    if stale(program, source):
        program.parent.mkdir(parents=True, exist_ok=True)
        environment = dict(os.environ, GOPROXY="off", GOFLAGS="", GOCACHE=str(OUT / "go" / ".cache"),
                           GOTOOLCHAIN="local", GO111MODULE="on", GOWORK="off")
        run(["go", "build", "-p", str(JOBS_MAX), "-o", program, f"./{name}"], BUILD_S_MAX,
            cwd=source, env=environment)
        program.touch()  # the linker leaves an unchanged program as old as it was
    return program


def build_cpp(peer, name, compiler, *flags):
    program, source = OUT / peer / name, COMPARE / peer
    need(peer)
    if stale(program, source, *(BENCHMARKS / f"{shared}.hpp" for shared in ("measure", "work", "reads"))):
        program.parent.mkdir(parents=True, exist_ok=True)
        run([compiler, "-std=c++20", "-O3", "-DNDEBUG", "-pthread", "-Wall", "-o", program,
             source / f"{name}.cpp", *flags], BUILD_S_MAX)
    return program


def build_asio(name):
    return build_cpp("asio", name, "g++", "-DASIO_STANDALONE")


def build_tbb(name):
    return build_cpp("tbb", name, "clang++-19", "-ltbb")


def build_fiber(name):
    return build_cpp("fiber", name, "clang++-19", "-lboost_fiber", "-lboost_context")


def build_uv(name):
    return build_cpp("uv", name, "clang++-19", "-luv")


def build_tokio(name):
    source, there = COMPARE / "tokio", OUT / "tokio"
    program = there / "target" / "release" / name
    need("tokio")
    if stale(program, source):
        # A copy, because cargo writes its lock file beside the manifest, and that one depends on Debian.
        there.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, there, dirs_exist_ok=True)
        (there / ".cargo").mkdir(exist_ok=True)
        (there / ".cargo" / "config.toml").write_text(
            '[source.crates-io]\nreplace-with = "debian"\n'
            f'[source.debian]\ndirectory = "{REGISTRY}"\n[net]\noffline = true\n')
        (there / "Cargo.lock").unlink(missing_ok=True)  # of an older Debian, perhaps
        run(["cargo", "build", "--release", "--bins", "--offline", "--jobs", str(JOBS_MAX)], BUILD_S_MAX,
            cwd=there, env=dict(os.environ, CARGO_TARGET_DIR=str(there / "target")))
        for made in (there / "target" / "release").iterdir():
            if made.is_file() and os.access(made, os.X_OK):
                made.touch()
    return program


built = set()  # of weft, in this call: Ninja knows what is stale


def build_weft(name):
    """With what ./run and ./test use, so there is one way to install and to build."""
    program = WEFT / f"bench_{name}"
    if program in built:
        return program
    say(f"bench: building bench_{name} (preset release)")
    script = ('root=$1; source "$root/tools/setup.sh"; need "$packages_build"; '
              'jobs_max=$3; build release "$2"')
    run(["bash", "-euo", "pipefail", "-c", script, "bench", ROOT, f"bench_{name}", JOBS_MAX],
        BUILD_S_MAX)
    if not program.exists():
        raise Unavailable(f"the build made no {program.relative_to(ROOT)}")
    built.add(program)
    return program


BUILD = {"weft": build_weft, "go": build_go, "tokio": build_tokio, "asio": build_asio, "tbb": build_tbb,
         "fiber": build_fiber, "uv": build_uv, "epoll": build_c, "uring": build_uring, "threads": build_threads,
         "nginx": build_nginx}


# --- versions ----------------------------------------------------------------------------------------

def first_line(*command):
    try:
        return run(command, 20).strip().splitlines()[0]
    except (Unavailable, OSError, IndexError):
        return "unknown"


def crate(name):
    return next((p.name.rsplit("-", 1)[1] for p in sorted(REGISTRY.glob(f"{name}-[0-9]*"))), "unknown")


def number_in(header, name):
    """The number of a #define, or None."""
    try:
        return int(re.search(rf"#define {name} (\d+)", Path(header).read_text()).group(1))
    except (OSError, AttributeError):
        return None


def three(number, major, minor):
    if number is None:
        return "unknown"
    return f"{number // major}.{number // minor % (major // minor)}.{number % minor}"


def tbb_version():
    return ".".join(str(number_in("/usr/include/oneapi/tbb/version.h", f"TBB_VERSION_{part}"))
                    for part in ("MAJOR", "MINOR", "PATCH"))


def uv_version():
    return ".".join(str(number_in("/usr/include/uv/version.h", f"UV_VERSION_{part}"))
                    for part in ("MAJOR", "MINOR", "PATCH"))


def debian_version(package):
    return first_line("dpkg-query", "-W", "-f", "${Version}", package)


def weft_version():
    found = re.search(r"project\(weft VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())
    commit = first_line("git", "-C", ROOT, "describe", "--always", "--dirty") if (ROOT / ".git").exists() else ""
    return (found.group(1) if found else "unknown") + (f" ({commit})" if commit else "")


def clang():
    return f"{first_line('clang++-19', '--version')}, -O3"


VERSION = {
    "weft": lambda: f"weft {weft_version()}, {clang()}"
            + (f", WEFT_DRIVER={os.environ['WEFT_DRIVER']}" if os.environ.get("WEFT_DRIVER") else ""),
    "epoll": lambda: f"plain epoll in C, {clang()}",
    "uring": lambda: f"plain io_uring with liburing {debian_version('liburing-dev')}, {clang()}",
    "threads": lambda: f"pread, a thread each, {clang()}",
    "nginx": lambda: first_line(nginx(), "-v"),
    "go": lambda: first_line("go", "version"),
    "tokio": lambda: f"Tokio {crate('tokio')}, hyper {crate('hyper')}, flume {crate('flume')}, "
             f"{first_line('rustc', '--version')}, LTO",
    "asio": lambda: f"Asio {three(number_in('/usr/include/asio/version.hpp', 'ASIO_VERSION'), 100000, 100)}, "
            f"{first_line('g++', '--version')}, -O3",
    "tbb": lambda: f"oneTBB {tbb_version()}, {clang()}",
    "fiber": lambda: f"Boost.Fiber {three(number_in('/usr/include/boost/version.hpp', 'BOOST_VERSION'), 100000, 100)}, "
             f"{clang()}",
    "uv": lambda: f"libuv {uv_version()}, {clang()}",
}
