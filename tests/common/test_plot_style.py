"""The style of plots: that of new axes is the package's, that of a user's axes the user's."""

import numpy as np
import pytest

import evengrad as eg
from evengrad._common.plot_style import LINES, OKABE_ITO

pyplot = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def quiet():
    pyplot.switch_backend("Agg")
    yield
    pyplot.close("all")


def plots():
    history = eg.callbacks.History()
    history.on_epoch_end(0, {"loss": 1.0, "val_loss": 2.0})
    rates = np.array([0.01, 0.1, 1.0])
    found = eg.models.RangeTest(rates, [2.0, 1.0, 9.0], [2.0, 1.5, 4.0], stopped_early=False)
    return {"History": history.plot, "RangeTest": found.plot}


@pytest.mark.parametrize("name", ["History", "RangeTest"])
def test_new_axes(name):
    before = dict(pyplot.rcParams)
    axes = plots()[name]()
    colors = [line.get_color() for line in axes.get_lines()]
    assert set(colors) <= set(OKABE_ITO.values())
    assert len(set(colors)) == len(colors)
    assert not axes.spines["top"].get_visible()
    assert dict(pyplot.rcParams) == before


def test_training_and_validation_differ_without_colours_too():
    train, validation = plots()["History"]().get_lines()
    assert (train.get_linestyle(), validation.get_linestyle()) == ("-", "--")


def test_axes_of_users():
    with pyplot.rc_context({"axes.prop_cycle": pyplot.cycler("color", ["#123456", "#abcdef"])}):
        _, mine = pyplot.subplots()
        plots()["History"](ax=mine)
    assert [line.get_color() for line in mine.get_lines()] == ["#123456", "#abcdef"]
    assert mine.spines["top"].get_visible()


def test_lines_stand_out_on_white():
    assert OKABE_ITO["yellow"] not in LINES
