"""Every public thing has documentation, an example, types, true gradients and a way into a file.

Adding an operation, a layer or an optimizer means adding it in one place: it is found here by
itself, and what it lacks makes these tests fail.
"""

import api_contract as contract
import api_documentation as documentation
import api_examples as examples
import api_modes as modes
import api_round_trips as round_trips
import pytest

ITEMS = contract.items()


def named(items):
    return [pytest.param(item, id=str(item)) for item in items]


@pytest.mark.parametrize("item", named(ITEMS))
def test_documentation(item):
    missing = documentation.missing_documentation(item) + documentation.undocumented_members(item)
    assert missing == []


@pytest.mark.parametrize("item", named(ITEMS))
def test_types(item):
    assert contract.missing_types(item) == []


DIFFERENTIABLE = [
    item
    for item in [*ITEMS, *contract.operator_items()]
    if item.name in examples.CALLS
    or (
        item.family not in examples.WITHOUT_GRADIENT
        and item.name not in examples.NOT_DIFFERENTIABLE
    )
]


@pytest.mark.parametrize("item", named(DIFFERENTIABLE))
def test_gradients(item):
    examples.check_gradient(item)


COMPUTES = [*DIFFERENTIABLE, *(item for item in ITEMS if item.family in modes.TAKE_PART)]


@pytest.mark.parametrize("item", named(dict.fromkeys(COMPUTES)))
def test_modes(item):
    modes.check_modes(item)


@pytest.mark.parametrize("item", named(ITEMS))
def test_round_trip(item, tmp_path):
    round_trips.check_round_trip(item, tmp_path)
