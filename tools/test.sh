#!/usr/bin/env bash
# Everything that must pass before a change is merged; what `make test` and continuous integration
# run.
#
# Two profiles are built, no more: release for the wheel, and dev for everything else. The benches
# are compiled with dev too: their own profile would optimize the core once more, across crates, for
# each of them.
#
# Two lanes run at the same time, because the longest piece of work, the wheel, is compiled and
# linked on one core (a single unit, see Cargo.toml), and pip and mypy use one core too: on the one
# hand all that Rust's dev profile compiles, on the other the environments, the wheel and all that
# uses it and watches no clock. Each lane has the quick checks first; the first failure ends both.
# Then come the test suites, each on all cores, so that the output ends with their summaries.
set -euo pipefail
shopt -s nullglob
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/sections.sh
# The lanes' headings count from the same second.
export sections_start

# Nothing may reach into this run from the caller's environment; plots are drawn without a screen.
unset PYTHONPATH
export PYTHONDONTWRITEBYTECODE=1
export MPLBACKEND=Agg
# A fresh checkout gains nothing from what incremental compilation writes, and waits for it.
if [[ ${CI:-} == true ]]; then
    export CARGO_INCREMENTAL=0
fi

root=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

lane_of_rust() {
    source tools/lint.sh rust

    # In one go: what the benches depend on is compiled beside the core.
    section "compile the tests and the benches"
    cargo test --locked --workspace --tests --benches --no-run
}

lane_of_python() {
    section "fresh environments, for the tests and for the wheel"
    tools/make_venv.sh .venv-test -r tests/requirements.txt
    make --no-print-directory .venv-build/stamp

    source tools/lint.sh python

    section "build the wheel and install it"
    make --no-print-directory native-wheel
    .venv-test/bin/pip install --quiet --disable-pip-version-check \
        "$(echo "$NATIVE_WHEELS"/*.whl)[all]"
    .venv-test/bin/pip check

    # From here on the tests run from where `evengrad` can only be the installed package.
    section "the stubs say what the extension module is"
    (cd "$scratch" && "$root/.venv-test/bin/python" -m mypy.stubtest \
        --allowlist "$root/tests/stubtest-allowlist.txt" evengrad._core)

    for example in examples/*.py; do
        section "$example --quick"
        (cd "$scratch" && "$root/.venv-test/bin/python" "$root/$example" --quick)
    done
}

in_two_lanes lane_of_rust lane_of_python

section "import time and wheel size"
.venv-test/bin/python tools/measure_import.py "$NATIVE_WHEELS"/*.whl

section "cargo test"
cargo test --locked --workspace

# One process for each core, but few: most tests are Python on one core, some train on all. Whoever
# has nothing left to do takes tests over from another: a few files hold most of the tests.
section "pytest, against the installed wheel"
.venv-test/bin/pytest --numprocesses auto --maxprocesses 4 --dist worksteal

printf '\nmake test: all of it passed, in %d s\n' $((SECONDS - sections_start))
