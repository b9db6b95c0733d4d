#!/usr/bin/env bash
# Adds one new thing of each kind to a copy of the sources, as tests/helpers/additions.py has them, builds the copy,
# and runs on it what `make test` runs for such things: so the numbers of files in CONTRIBUTING.md are true.
#
# Takes some minutes: the core is compiled anew. The rest comes from the target directory of this checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/sections.sh

unset PYTHONPATH
export PYTHONDONTWRITEBYTECODE=1 MPLBACKEND=Agg
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

section "a copy of the sources, with additions"
# A file that was removed and is not yet committed so is listed, and not there.
git ls-files --cached --others --exclude-standard -z |
    tar --create --null --files-from - --ignore-failed-read | tar --extract --directory "$scratch"
python=$PWD/.venv-test/bin/python
maturin=$PWD/.venv-build/bin/maturin
cd "$scratch"
"$python" tests/helpers/additions.py .
cargo fmt --all

section "build it"
# An environment that has what that of the tests has, and this build of the package before that one's.
"$python" -m venv --system-site-packages .venv
"$python" -c 'import site; print(site.getsitepackages()[0])' > "$(echo .venv/lib/python*/site-packages)/tests.pth"
VIRTUAL_ENV=$scratch/.venv "$maturin" develop --locked --skip-install
python=$scratch/.venv/bin/python
export PYTHONPATH=$scratch/python

section "what follows from the table, and the linters"
"$python" tools/generate_stubs.py
"$python" -m ruff format --check .
"$python" -m ruff check .
"$python" -m mypy
"$python" -m mypy.stubtest --mypy-config-file tests/stubtest.ini \
    --allowlist tests/stubtest-allowlist.txt evengrad._core

section "the tests"
cargo test --locked --package evengrad-core --lib gradients
# By the names of what was added; and the tests that look whether all there is has a row.
"$python" -m pytest tests -k "added or left_out or every_rule or offer"
