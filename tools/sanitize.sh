#!/usr/bin/env bash
# Runs the core's tests under tools that see invalid memory accesses.
#
# AddressSanitizer needs an unstable compiler flag. RUSTC_BOOTSTRAP lets the stable compiler take
# it, so that the very compiler that builds the wheels is the one under test. The standard library
# is not instrumented; the allocations of our code are, and those are the ones that our unsafe code
# touches; `sanitized` lets buffers be single allocations.
#
# Miri interprets: it sees undefined behaviour that no processor shows, slowly, and knows no vector
# instructions beyond a few. Hence the portable kernels, and only the modules named below. It is
# skipped where no nightly toolchain has it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/sections.sh

target=$(rustc --print host-tuple)

section "AddressSanitizer"
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address --cfg sanitized" \
    cargo test --locked --package evengrad-core --lib --target "$target"

section "Miri"
if cargo +nightly miri --version >/dev/null 2>&1; then
    # The disk cache of proptest and the clock are outside of the interpreter's world.
    EVENGRAD_ISA=portable MIRIFLAGS="-Zmiri-disable-isolation" \
        cargo +nightly miri test --locked --package evengrad-core --lib -- buffer tape
else
    echo "no nightly toolchain with Miri: skipped"
fi
