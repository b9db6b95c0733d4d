"""The page that lists Keras' names: none is missing, and what it says is here is here."""

import re
from operator import attrgetter
from pathlib import Path

import keras_names
import pytest

import evengrad as eg
import evengrad.sklearn  # a row names what is in it

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "keras-names.md"
if not PAGE.is_file():
    pytest.skip("a packaged copy of the sources has no pages", allow_module_level=True)
TEXT = PAGE.read_text(encoding="utf-8")
HERE = re.compile(r"`((?:\w+\.)*\w+)\.(\w+)")
# Another name or way, or none, with the reason.
OTHERWISE = re.compile(r"another way: `\w+\.\w+|another way: .+`\w+\.\w+`|not here(:|, as `\w+`)")


def table(module):
    """Return the right cell of each name of a module of Keras."""
    _, found, rest = TEXT.partition(f"| `keras.{module}` | here |\n|---|---|\n")
    assert found, f"the page has no table of keras.{module}"
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", rest.partition("\n\n")[0], re.MULTILINE)
    assert len(dict(rows)) == len(rows), "a name stands there twice"
    return dict(rows)


@pytest.mark.parametrize("module", keras_names.NAMES)
def test_no_name_is_missing(module):
    assert sorted(table(module)) == sorted(keras_names.NAMES[module])


@pytest.mark.parametrize("module", keras_names.NAMES)
def test_what_is_here_is_here(module):
    for name, cell in table(module).items():
        found = HERE.match(cell)
        if found is None:
            assert OTHERWISE.match(cell), f"{name}: {cell}"
            assert not hasattr(attrgetter(module)(eg), name), f"{name} is here"
            found = HERE.search(cell)
        else:
            assert found.groups() == (module, name), f"{name}: {cell}"
        if found is not None:
            assert hasattr(attrgetter(found[1])(eg), found[2]), f"{name}: {cell}"
