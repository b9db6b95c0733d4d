"""The tables of docs/how-to/migration.md: every line runs, and means what the line beside it means.

A row's program is the code at the start of its last cell; it runs after the page's first block, in
names of its own. `migration_checks.py` holds what each must come to, from other sources.
"""

import ast
import itertools
import re
from pathlib import Path

import migration_checks
import migration_from_torch  # enters its checks
import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "migration.md"
TEXT = PAGE.read_text(encoding="utf-8")
# Code at the start of a cell, with nothing but space between the pieces.
PROGRAM = re.compile(r"(?:`[^`]+`\s*)+")


def rows(text):
    """Return (first cell, program) of every row of every table, heads and rules left out."""
    found = []
    lines = text.splitlines()
    for above, line in itertools.pairwise(lines):
        body = line.startswith("| ") and above.startswith("|") and not set(line) <= set("|- ")
        if body:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            program = PROGRAM.match(cells[-1])
            pieces = re.findall(r"`([^`]+)`", program[0]) if program else []
            found.append((cells[0].replace("`", ""), pieces))
    return found


ROWS = rows(TEXT)


def prelude():
    """Return the names that the page's first block makes."""
    block = re.search(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    names = {}
    exec(block[1], names)  # noqa: S102 - the page is ours, and running it is the test
    return names


def run(pieces, names):
    """Run pieces of code one after the other and return the last one's value, if it has one."""
    for piece in pieces[:-1]:
        exec(piece, names)  # noqa: S102 - as above
    last = pieces[-1]
    if isinstance(ast.parse(last).body[-1], ast.Expr):
        return eval(last, names)  # noqa: S307 - as above
    exec(last, names)  # noqa: S102 - as above
    return None


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    """Examples write files, and may change settings of the process."""
    monkeypatch.chdir(tmp_path)
    threads = migration_checks.eg.get_num_threads()
    yield
    migration_checks.eg.set_num_threads(threads)


@pytest.mark.parametrize(("left", "pieces"), ROWS, ids=[left for left, _ in ROWS])
def test_row(left, pieces):
    assert pieces, "the last cell begins with no code"
    check = migration_checks.CHECKS.get(left)
    assert check is not None, f"no check in tests/helpers/migration_checks.py means {left!r}"
    names = prelude()
    value = run(pieces, names)
    check(value, names)


def test_rows_are_found():
    page = "| a | b |\n|---|---|\n| `x(1)` | `y = 2` `y + 1`; `z` is left out |\n\n| c |\n"
    assert rows(page) == [("x(1)", ["y = 2", "y + 1"])]
    assert run(["y = 2", "y + 1"], {}) == 3
    assert len(ROWS) > 60


def test_checks_are_for_rows():
    assert migration_from_torch.means is migration_checks.means
    lefts = [left for left, _ in ROWS]
    assert sorted(migration_checks.CHECKS) == sorted(lefts)
    assert len(set(lefts)) == len(lefts)
