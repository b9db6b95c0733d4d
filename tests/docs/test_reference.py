"""The site's reference: every public name has one home in it, and every module a place."""

import importlib
import re
from pathlib import Path

import api_contract
import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
if not DOCS.is_dir():
    pytest.skip("a packaged copy of the sources has no pages", allow_module_level=True)


@pytest.fixture
def public_names(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "_extensions")
    return importlib.import_module("public_names")


def test_no_public_name_is_missing(public_names):
    listed = {str(name).partition(".")[2] for name in public_names.homes()}
    modules = list(api_contract.public_modules())
    found = {item.name for module in modules for item in api_contract.own_items(module)}
    found |= {
        f"{module.__name__}.{name}".partition(".")[2]
        for module in modules
        for name in getattr(module, "__all__", [])
    }
    assert listed == found


def test_things_with_several_names_have_one_home(public_names):
    homes = {str(name): str(home) for name, home in public_names.homes().items()}
    assert homes["evengrad.Model"] == homes["evengrad.models.Model"] == "evengrad.models.Model"
    assert homes["evengrad.losses.MSE"] == "evengrad.losses.MeanSquaredError"
    assert (
        homes["evengrad.relu"] == homes["evengrad.functional.relu"] == "evengrad.activations.relu"
    )
    assert homes["evengrad.activations.exponential"] == "evengrad.exp"
    assert homes["evengrad.functional.linear"] != homes["evengrad.activations.linear"]
    assert {homes[home] == home for home in homes.values()} == {True}


def test_every_module_with_names_has_a_place_in_the_index(public_names):
    index = (DOCS / "reference" / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^evengrad[\w.]*$", index, re.MULTILINE)
    wanted = [name for name in public_names.public_modules() if public_names.names_of(name)]
    assert sorted(listed) == sorted(wanted)


def test_code_in_pages_means_one_name(public_names):
    spellings = public_names.spellings()
    assert spellings["layers.Dense"] == spellings["eg.layers.Dense"] == spellings["Dense"]
    assert spellings["Model.fit"] == "evengrad.models.Model.fit"
    # A loss and a metric.
    assert "MeanSquaredError" not in spellings
    assert "fit" not in spellings


def test_nearest_public_bases_are_found(public_names):
    layers = importlib.import_module("evengrad.layers")
    assert [str(base) for base in public_names.public_bases(layers.Dense)] == [
        "evengrad.layers.Layer"
    ]
