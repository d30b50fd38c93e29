#!/bin/sh
# The comparison's script calls this in this folder, with the name of a preset.
set -eu
cmake --preset "${1:-clang-linux-release}" .
cmake --build build --parallel
