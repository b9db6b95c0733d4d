#!/usr/bin/env bash
# Runs a command that compiles for this machine alone.
#
#     tools/native.sh COMMAND...
#
# The kernels are compiled once for each instruction set, and a machine runs the best that it has: only that one is
# compiled. The portable kernels alone are a quarter of a module's code. The core's tests compare all sets that run
# here, and have them.
set -euo pipefail

has() {
    grep --quiet --word-regexp "$1" /proc/cpuinfo
}

if [[ -e /proc/cpuinfo && $(uname -m) == x86_64 ]] && has avx2 && has fma; then
    export EVENGRAD_WITHOUT="avx512 portable"
    if has avx512f && has avx512bw && has avx512dq && has avx512vl; then
        EVENGRAD_WITHOUT="avx2 portable"
    fi
fi
exec "$@"
