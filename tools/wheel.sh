#!/usr/bin/env bash
# Builds the wheel to publish into dist/, for the architecture of this machine.
#
# On Linux the wheel must load on distributions older than this one. zig (from PyPI, in .venv-wheel)
# carries the symbol tables of every glibc and links against the one that the tag names: 2.17, the
# oldest that Rust's standard library runs on, and thereby the lowest that is possible. maturin
# reads the result back and refuses a wheel that asks for more than its tag says. Rust 1.95 and zig
# 0.17 need no flag beyond these two.
#
# The compiler's flags are set, not extended: a `target-cpu` in the caller's environment would
# compile instructions into the wheel that other processors of the platform lack (kernels for newer
# ones are chosen at run time). Paths of this machine, which panic messages quote, are cut to what
# is the same everywhere.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo fetch --quiet --locked
flags="--remap-path-prefix=$PWD=evengrad"
for crates in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    # Cargo splits this variable at unit separators: a path may hold spaces.
    flags+=$'\x1f'"--remap-path-prefix=$crates=crates"
done
export CARGO_ENCODED_RUSTFLAGS=$flags

case $(uname -s) in
    Linux) platform=(--zig --compatibility manylinux2014) ;;
    *) platform=() ;;
esac

# maturin finds zig as a module of the Python that comes first on PATH.
export PATH="$PWD/.venv-wheel/bin:$PATH"
rm -rf dist
maturin build --release --locked "${platform[@]}" --out dist
ls -l dist
