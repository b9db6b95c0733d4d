#!/usr/bin/env bash
# Everything that must pass before a change is merged; what `make test` and continuous integration
# run. With SITE=true it builds the site as well.
#
# The kernels are compiled twice, no more: in release for the wheel, those of the one instruction set
# that this machine takes; and in dev, with assertions, those of all sets that it has, for the core's
# tests, which compare them. Clippy sees the other sets, and the benches, which are not linked here.
#
# Two lanes run at the same time, because the longest piece of work, the wheel, is compiled and
# linked on one core (a single unit, see Cargo.toml). The first has all checks of the sources, the
# quick ones first, and the core's tests; the second the wheel, and all that uses it. The first
# failure ends both. The second lane's output comes last, and ends with the Python tests' summary.
set -euo pipefail
shopt -s nullglob
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/sections.sh
# The lanes' headings count from the same second.
export sections_start

# Nothing may reach into this run from the caller's environment; plots are drawn without a screen. Images of containers
# often forbid to write bytecode: each of the hundreds of processes would compile all that it imports.
unset PYTHONPATH PYTHONDONTWRITEBYTECODE
export MPLBACKEND=Agg
# A fresh checkout gains nothing from what incremental compilation writes, and waits for it.
if [[ ${CI:-} == true ]]; then
    export CARGO_INCREMENTAL=0
fi

root=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# The sources stay free of bytecode; it is written once and read by all processes from there.
export PYTHONPYCACHEPREFIX=$scratch/bytecode

lane_of_the_sources() {
    # The other lane takes longer, and goes first where both want a core.
    renice -n 5 -p "$BASHPID" >/dev/null

    section "a fresh environment for the tests"
    tools/make_venv.sh .venv-test -r tests/requirements.txt ${SITE:+-r tools/requirements-docs.txt}

    source tools/lint.sh

    section "the core's tests"
    tools/native.sh cargo test --locked --package evengrad-core
}

lane_of_the_wheel() {
    section "build the wheel"
    make --no-print-directory native-wheel

    section "install it"
    # Made by the other lane, minutes ago on most machines.
    while [[ ! -e .venv-test/stamp ]]; do sleep 1; done
    .venv-test/bin/pip install --quiet --disable-pip-version-check \
        "$(echo "$NATIVE_WHEELS"/*.whl)[all]"
    .venv-test/bin/pip check

    # From here on the tests run from where `evengrad` can only be the installed package.
    section "the stubs say what the extension module is"
    (cd "$scratch" && "$root/.venv-test/bin/python" -m mypy.stubtest \
        --mypy-config-file "$root/tests/stubtest.ini" \
        --allowlist "$root/tests/stubtest-allowlist.txt" evengrad._core)

    # The site's gallery runs the examples, too, so that it takes their place.
    if [[ -n ${SITE:-} ]]; then
        section "the site, with the examples and the notebooks"
        PYTHON=$root/.venv-test/bin/python tools/build_site.sh "$scratch/site"
    else
        section "the examples"
        (cd "$scratch" && "$root/.venv-test/bin/python" "$root/tools/run_examples.py")
    fi

    # One process for each core, but few: most tests are Python on one core, some train on all.
    # Whoever has nothing left to do takes tests over from another: a few files hold most of them.
    section "pytest, against the installed wheel"
    .venv-test/bin/pytest --numprocesses auto --maxprocesses 4 --dist worksteal
}

rm -rf .venv-test
in_two_lanes lane_of_the_sources lane_of_the_wheel

printf '\nmake test: all of it passed, in %d s\n' $((SECONDS - sections_start))
