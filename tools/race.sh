#!/usr/bin/env bash
# Races a wheel of evengrad against other libraries; docs/about/performance.md says how.
#
#     tools/race.sh WHEEL [ARGUMENTS of benches/race/race.py...]
#
# PEERS names the libraries (all unless set), PYTHON the interpreter of their environments. Each gets
# an environment of its own, .venv-race-NAME, so that none decides what another is built on; one that
# cannot be installed here is left out, and the race goes on. RECORD=1 puts the figures into the
# documentation. COMMAND is what the user typed, to be told beside them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wheel=$1
shift
read -ra peers <<<"${PEERS:-torch jax keras sklearn onnxruntime}"

make --no-print-directory .venv-race-evengrad/stamp
.venv-race-evengrad/bin/pip install --quiet --disable-pip-version-check \
    --force-reinstall --no-deps "$wheel"
for peer in "${peers[@]}"; do
    if [[ ! -e benches/race/requirements-$peer.txt ]]; then
        echo "race: no peer is called $peer" >&2
        exit 1
    fi
    make --no-print-directory ".venv-race-$peer/stamp" ||
        echo "race: $peer cannot be installed here, it is left out" >&2
done

# An empty array counts as unset in older versions of bash: hence the `+` below.
ceilings=()
if cargo build --release --locked --package evengrad-benches --bin ceilings; then
    ceilings=(--ceilings "${CARGO_TARGET_DIR:-target}/release/ceilings")
else
    echo "race: the ceilings' program cannot be built here, there are no shares of the peak" >&2
fi

.venv-race-evengrad/bin/python benches/race/race.py --command "${COMMAND:-make race}" \
    --peers "${peers[@]}" ${ceilings[@]+"${ceilings[@]}"} "$@"
if [[ ${RECORD:-} == 1 ]]; then
    .venv-race-evengrad/bin/python benches/race/record.py race-output/results.json
fi
