"""Summaries: what is printed and returned, what layers are connected to; tables for notebooks."""

from html.parser import HTMLParser

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers

NAME = "<b>&\x1b[31m"


def branched():
    a, b = eg.Input((4,), name="left"), eg.Input((3,))
    hidden = layers.Dense(5, "relu", name="hidden")(a)
    both = layers.Concatenate(name="both")([hidden, b])
    return eg.Model([a, b], layers.Add(name="sum")([layers.Dense(5, name="out")(both), hidden]))


def test_summaries_are_printed_and_returned(capsys):
    model = eg.Sequential([eg.Input((4,)), layers.Dense(2), layers.Dense(1)], name="net")
    summary = model.summary()
    printed = capsys.readouterr().out
    assert printed == f"{summary}\n"
    assert "connected to" not in printed
    assert repr(summary).startswith("<Summary of net (Sequential): 13 parameters")
    lines = []
    model.summary(print_fn=lines.append)
    assert lines == [str(summary)]
    assert capsys.readouterr().out == ""


def test_rows_of_graphs_say_what_layers_are_connected_to(capsys):
    summary = branched().summary()
    assert [row.connected_to for row in summary.rows] == [
        ("left",),
        ("hidden", "input 1"),
        ("both",),
        ("out", "hidden"),
    ]
    head = capsys.readouterr().out.splitlines()[1]
    assert head.endswith("connected to")


def test_layers_with_several_outputs_and_uses(capsys):
    x = eg.Input((6, 3))
    outputs, h, c = layers.LSTM(4, return_sequences=True, return_state=True, name="lstm")(x)
    shared = layers.Dense(4, name="shared")
    y = layers.Add(name="sum")([shared(h), shared(c)])
    rows = {
        row.layer.partition(" ")[0]: row.connected_to
        for row in eg.Model(x, [y, outputs]).summary().rows
    }
    assert rows == {
        "lstm": ("input",),
        "shared": ("lstm[1]", "lstm[2]"),
        "sum": ("shared", "shared"),
    }
    assert "lstm[1], lstm[2]" in capsys.readouterr().out


class Elements(HTMLParser):
    """Notes the text of cells, and that each element is closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.texts = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        assert not attrs
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def trained():
    model = eg.Sequential([eg.Input((3,)), layers.Dense(2), layers.Dense(1)], name=None, seed=1)
    model.compile("sgd", "mse")
    return model, np.ones((8, 3)), np.ones(8)


def pages():
    model, x, y = trained()
    history = model.fit(x, y, epochs=3, verbose=0)
    history.history[NAME] = [1.0, float("nan"), 3.0]
    history.history["matrix"] = [np.eye(2)] * 3
    yield history, ["History of 3 epochs", "loss", "in epoch 3", r"<b>&\x1b[31m", "3 in epoch 3"]
    yield model, ["dense (Dense)", "(None, 2)", "11 parameters"]
    plan = model.plan(x)
    yield plan, ["8 rows in batches of 8", "step", "memory", "epoch"]
    found = model.find_learning_rate(x, y, steps=10)
    yield found, ["Range test of", f"{found.suggestion:.3g}", "turning point"]
    yield branched(), ["connected to", "hidden, input 1"]


@pytest.mark.filterwarnings("ignore:find_learning_rate")
def test_notebooks_show_tables_whose_text_is_escaped():
    for thing, wanted in pages():
        page = thing._repr_html_()
        parsed = Elements(page)
        assert not parsed.open
        text = "\n".join(parsed.texts)
        for words in wanted:
            assert words in text
        assert "<b>" not in page


def test_notebooks_show_no_table_of_what_is_not_built():
    assert eg.Sequential([layers.Dense(1)])._repr_html_() is None
