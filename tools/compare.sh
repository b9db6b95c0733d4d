#!/usr/bin/env bash
# Compares a wheel of the present tree with an older commit; benches/race/compare.py says how.
#
#     tools/compare.sh COMMIT WHEEL [ARGUMENTS of benches/race/compare.py...]
#
# The commit's wheel is built once, from its own sources and lock file, and kept under
# TARGET/compare/ by the commit's hash. `git archive` leaves nothing behind in the repository when
# it is interrupted, as a worktree would. All bases share one folder of compiled dependencies.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

commit=$(git rev-parse --short=12 --verify "$1^{commit}")
wheel=$2
shift 2
folder=${CARGO_TARGET_DIR:-target}/compare
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
base=$folder/$commit
maturin=$PWD/.venv-build/bin/maturin
native=$PWD/tools/native.sh

if ! compgen -G "$base/wheel/*.whl" >/dev/null; then
    rm -rf "$base"
    mkdir -p "$base/sources"
    git archive "$commit" | tar -x -C "$base/sources"
    (cd "$base/sources" && "$native" "$maturin" build --release --locked --compatibility linux \
        --target-dir "$folder/build" --out "$base/unfinished")
    mv "$base/unfinished" "$base/wheel"
    rm -rf "$base/sources"
fi

# Each side has the environment that the race gives to evengrad, in a folder of its own.
for side in "$base:$(echo "$base"/wheel/*.whl)" "$folder/now:$wheel"; do
    environment=${side%%:*}/.venv-race-evengrad
    if [[ ! -e $environment/stamp || benches/race/requirements-evengrad.txt -nt $environment/stamp ]]
    then
        mkdir -p "${side%%:*}"
        tools/make_venv.sh "$environment" -r benches/race/requirements-evengrad.txt
    fi
    "$environment/bin/pip" install --quiet --disable-pip-version-check \
        --force-reinstall --no-deps "${side#*:}"
done
make --no-print-directory .venv-race-sklearn/stamp ||
    echo "compare: scikit-learn cannot be installed here, it is left out" >&2

exec "$folder/now/.venv-race-evengrad/bin/python" benches/race/compare.py \
    --base "$base" --now "$folder/now" --name "$commit" "$@"
