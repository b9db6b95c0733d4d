#!/usr/bin/env bash
# Everything that must pass before a change is merged; what `make test` and continuous integration
# run.
#
# Quick checks come first, and the run stops at the first failure. The two test suites come last, so
# that the output ends with their summaries.
#
# Two profiles are built, no more: release for the wheel, and dev for everything else. The benches
# are compiled with dev too: their own profile would optimise the core once more, across crates, for
# each of them.
set -euo pipefail
shopt -s nullglob
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/sections.sh

# Nothing may reach into this run from the caller's environment; plots are drawn without a screen.
unset PYTHONPATH
export PYTHONDONTWRITEBYTECODE=1
export MPLBACKEND=Agg

root=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

section "a fresh environment for the tests"
tools/make_venv.sh .venv-test -r tests/requirements.txt

source tools/lint.sh

section "compile the benches"
cargo bench --locked --workspace --no-run --profile dev

section "build the wheel and install it"
make --no-print-directory native-wheel
.venv-test/bin/pip install --quiet --disable-pip-version-check "$(echo "$NATIVE_WHEELS"/*.whl)[all]"
.venv-test/bin/pip check

# From here on the tests run from where `evengrad` can only be the installed package.
section "the stubs say what the extension module is"
(cd "$scratch" && "$root/.venv-test/bin/python" -m mypy.stubtest \
    --allowlist "$root/tests/stubtest-allowlist.txt" evengrad._core)

section "import time and wheel size"
.venv-test/bin/python tools/measure_import.py "$NATIVE_WHEELS"/*.whl

for example in examples/*.py; do
    section "$example --quick"
    (cd "$scratch" && "$root/.venv-test/bin/python" "$root/$example" --quick)
done

section "cargo test"
cargo test --locked --workspace

section "pytest, against the installed wheel"
.venv-test/bin/pytest

printf '\nmake test: all of it passed, in %d s\n' $((SECONDS - sections_start))
