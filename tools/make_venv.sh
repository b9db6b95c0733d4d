#!/usr/bin/env bash
# Makes a fresh virtual environment and installs packages into it.
#
#     tools/make_venv.sh DIRECTORY [ARGUMENTS OF pip install...]
#
# PYTHON names the interpreter (python3 unless set). DIRECTORY/stamp is written last, so that make
# takes a half-made environment for none.
set -euo pipefail

directory=$1
shift
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    echo "evengrad needs Python >= 3.10, and $python is $("$python" --version 2>&1): set PYTHON" >&2
    exit 1
}
rm -rf "$directory"
"$python" -m venv "$directory"
if (($# > 0)); then
    pip=("$directory/bin/python" -m pip install --quiet --disable-pip-version-check)
    # uv does in seconds what takes pip the better part of a minute. It knows nothing of pip's own
    # settings: where those name another index than PyPI, pip has to do it.
    { "${pip[@]}" uv==0.13.9 &&
        "$directory/bin/uv" pip install --quiet --python "$directory/bin/python" "$@"; } ||
        "${pip[@]}" "$@"
fi
touch "$directory/stamp"
