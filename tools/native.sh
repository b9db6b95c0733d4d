#!/usr/bin/env bash
# Runs a command that compiles for this machine alone.
#
#     tools/native.sh COMMAND...
#
# A third of the kernels' code is for AVX-512. On a processor that lacks it nothing could run that
# code, and it is left out.
set -euo pipefail

if [[ -e /proc/cpuinfo ]] && ! grep --quiet --word-regexp avx512f /proc/cpuinfo; then
    export RUSTFLAGS="${RUSTFLAGS:-} --cfg without_avx512"
fi
exec "$@"
