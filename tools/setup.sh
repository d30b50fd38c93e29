# shellcheck shell=bash
# setup: what ./run, ./test and .ci/run share. Sourced by bash; needs $root, the repository's folder.
# It finds out what is missing, installs it with apt-get where it may, and builds a preset.

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

jobs_max=$(nproc 2>/dev/null || echo 2)

root=${root:?set by the caller: the folder of the repository}

# Everything that is made lies in build/.
writable() {
  { mkdir -p "$root/build" 2>/dev/null && [ -w "$root/build" ]; } ||
    die "$root/build cannot be written by $(id -un). Please use a clone that is yours."
}

# ccache wants a folder that can be written; a service account often has no home.
if [ -z "${CCACHE_DIR:-}" ] && ! { [ -n "${HOME:-}" ] && mkdir -p "${XDG_CACHE_HOME:-$HOME/.cache}/ccache" &&
  [ -w "${XDG_CACHE_HOME:-$HOME/.cache}/ccache" ]; } 2>/dev/null; then
  export CCACHE_DIR="$root/build/ccache"
fi

# package<TAB>what shows that it is here (a command, or a file)<TAB>why it is needed
packages_build='clang-19	clang++-19	the C++23 compiler
cmake	cmake	describes the build
ninja-build	ninja	runs the build
libssl-dev	/usr/include/openssl/ssl.h	TLS
node-llhttp	/usr/share/llhttp/llhttp.c	the HTTP/1.1 parser, as C source
ccache	ccache	makes the next build quick'
# shellcheck disable=SC2034  # ./test takes it
packages_test="$packages_build
g++	g++	the second compiler
libgtest-dev	/usr/include/gtest/gtest.h	the tests
libclang-rt-19-dev	/usr/lib/llvm-19/lib/clang/19/lib/linux/libclang_rt.asan-$(uname -m).a	the sanitizers
pkg-config	pkg-config	the install test
curl	curl	the test of the HTTP server
python3	python3	the checks of the tree"
# shellcheck disable=SC2034  # ./test --preset release and tools/instruction_budget.py take it
packages_count='valgrind	valgrind	counts the instructions of hot paths, where no hardware counter can be had'
# shellcheck disable=SC2034  # ./test takes it, but for the sanitizers' presets
packages_trace='strace	strace	shows the system calls of hot paths'
# shellcheck disable=SC2034  # ./test takes it, but for the sanitizers' presets. Not nginx: its package starts a server.
packages_clients='apache2-utils	ab	a client of the HTTP server
slowhttptest	slowhttptest	slow clients of the HTTP server
wrk	wrk	a load for the HTTP server'

# shellcheck disable=SC2034  # ./test takes it, but for the sanitizers' presets
packages_debug='gdb	gdb	shows the stacks of fibers'
# shellcheck disable=SC2034  # the same
packages_cross='g++-aarch64-linux-gnu	aarch64-linux-gnu-g++	builds the switch of fibers for AArch64
qemu-user-static	qemu-aarch64-static	runs it'

# need LIST: installs the packages of LIST that are not here, saying which and why.
need() {
  local package shown why missing=''
  while IFS=$'\t' read -r package shown why; do
    case $shown in
      /*) [ -e "$shown" ] && continue ;;
      *) command -v "$shown" >/dev/null 2>&1 && continue ;;
    esac
    [ -n "$missing" ] || say 'weft needs these Debian packages, which are not installed:'
    say "  $package: $why"
    missing="$missing $package"
  done <<<"$1"
  [ -n "$missing" ] || return 0

  # No recommended packages: they would double the download.
  local install="apt-get install -y --no-install-recommends$missing" as=''
  command -v apt-get >/dev/null 2>&1 ||
    die "This system has no apt-get. Please install the packages' equivalents:$missing"
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
      as='sudo -n'
    else
      die "Installing needs root. Please run this, then call ./$(basename "$0") again:
  sudo apt-get update && sudo $install"
    fi
  fi
  local log="$root/build/apt.log"
  mkdir -p "$root/build"
  say "installing with: ${as:+$as }$install"
  export DEBIAN_FRONTEND=noninteractive
  # The lists may be missing or old, so a failure is tried again after an update. The lock may be held
  # by the system's own updates for a while.
  get() {
    # shellcheck disable=SC2086  # `as` may be empty or two words
    $as apt-get -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1 </dev/null
  }
  local words
  read -ra words <<<"${install#apt-get }"
  : >"$log"
  get "${words[@]}" || { get update && get "${words[@]}"; } ||
    die "$(tail -n 5 "$log")
The packages could not be installed: is there no network? (The whole log: $log)
Where there is one, this does it:
  apt-get update && $install"
}

# configure PRESET: once; afterwards the build notices by itself what changed.
configure() {
  local log="$root/build/configure-$1.log" cache="$root/build/$1/CMakeCache.txt"
  if [ -f "$cache" ] && ! grep -qxF "CMAKE_CACHEFILE_DIR:INTERNAL=$root/build/$1" "$cache"; then
    say "weft was moved or copied to $root: the preset $1 is configured anew"
    rm -rf "$cache" "${root:?}/build/$1/CMakeFiles" "${root:?}/build/$1/build.ninja"
  fi
  [ -f "$root/build/$1/build.ninja" ] && return 0
  mkdir -p "$root/build"
  (cd "$root" && cmake --preset "$1" >"$log" 2>&1 </dev/null) ||
    { cat "$log" >&2; rm -rf "${root:?}/build/$1/CMakeCache.txt"; die "cmake could not configure the preset $1"; }
  grep '^-- weft: ' "$log" | sed 's/^-- //' >&2
}

# build PRESET [TARGET...]
build() {
  local preset=$1
  shift
  writable
  configure "$preset"
  (cd "$root" && cmake --build "build/$preset" --parallel "$jobs_max" ${1:+--target "$@"} </dev/null)
}
