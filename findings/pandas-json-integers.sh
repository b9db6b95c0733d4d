#!/usr/bin/env bash
# pandas 3.1.1: `read_json` reads some integers beyond 64 bits as others, without a word.
#
# JSON sets no bound to integers. `pandas.read_json` refuses 20000000000000000000 with "Value is too
# big!", and takes the larger 30000000000000000000, but as that number modulo 2**64. Of negative
# ones, -20000000000000000000 is taken and -50000000000000000000 refused. Python's `json.loads` reads
# all of them as they stand.
#
# Seen with NumPy 2.4.6 on CPython 3.11.7, Linux x86-64: see `expected` below. Exit status 1 where
# something else is seen.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pandas==3.1.1 numpy==2.4.6

cat >expected <<'END'
20000000000000000000 refused: Value is too big! at position 6
30000000000000000000 read as 11553255926290448384, less by 1 * 2**64
123456789012345678901 read as 12776324570088369205, less by 6 * 2**64
-20000000000000000000 read as -1553255926290448384, less by -1 * 2**64
-50000000000000000000 refused: Value is too small at position 6
END

venv/bin/python - >seen <<'END'
import io
import json

import pandas as pd

for number in (2 * 10**19, 3 * 10**19, 123456789012345678901, -2 * 10**19, -5 * 10**19):
    text = json.dumps([{"n": number}])
    assert json.loads(text) == [{"n": number}]
    try:
        read = int(pd.read_json(io.StringIO(text))["n"][0])
    except ValueError as error:
        print(f"{number} refused: {error}")
    else:
        turns, rest = divmod(number - read, 2**64)
        assert rest == 0
        print(f"{number} read as {read}, less by {turns} * 2**64")
END

cat seen
diff expected seen
