"""The zoo: nets that come along, a folder of one's own, cards, and what is refused."""

import json
import os
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from saving_checks import header_of, put_together, rewrite
from sklearn.datasets import load_breast_cancer, load_digits

import evengrad as eg
from evengrad import layers, zoo
from evengrad.saving import _safetensors
from evengrad.zoo import _folder

SHIPPED = ["breast_cancer", "digits", "digits_autoencoder", "digits_rows"]
LIMIT = 400 * 1024
TOOL = Path(__file__).resolve().parents[2] / "tools" / "make_zoo.py"


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    """Have a folder of one's own, which is not there yet."""
    path = tmp_path / "data" / "zoo"
    monkeypatch.setenv("EVENGRAD_ZOO", str(path))
    return path


def net(seed=3):
    return eg.Sequential([eg.Input((4,)), layers.Dense(3, "relu"), layers.Dense(2)], seed=seed)


def held_out(loader):
    x, y = loader(return_X_y=True)
    return x[::5], y[::5]


# ---- what comes along


def test_what_comes_along_is_small_and_told_of():
    catalogue = zoo.list()
    assert list(catalogue) == SHIPPED
    assert sum(os.path.getsize(card.path) for card in catalogue.values()) <= LIMIT
    assert sum(path.stat().st_size for path in _folder.SHIPPED.iterdir()) <= LIMIT
    for name, card in catalogue.items():
        assert card.fault is None
        assert card.command == f"python tools/make_zoo.py {name}"
        for told in (card.summary, card.data, card.licence, card.isa, card.checksum, card.figures):
            assert told
        assert str(card).splitlines()[0] == name
    assert [line.split()[0] for line in str(catalogue).splitlines()] == ["name", *SHIPPED]


@pytest.mark.parametrize("name", SHIPPED)
def test_figures_are_those_of_the_cards(name):
    card, model = zoo.list()[name], zoo.load(name)
    assert model.name == name
    assert model.count_params() == card.parameters
    x, y = held_out(load_breast_cancer if name == "breast_cancer" else load_digits)
    outputs = model.predict(x)
    assert outputs.shape == (len(x), *card.output_shape)
    if "test accuracy" in card.figures:
        wide = outputs.shape[1] > 1
        labels = outputs.argmax(axis=1) if wide else (outputs[:, 0] > 0.5).astype(int)
        # On other instruction sets a row may fall to the other side.
        assert (labels == y).mean() == pytest.approx(card.figures["test accuracy"], abs=0.01)
    else:
        all_x = load_digits(return_X_y=True)[0]
        mean = np.delete(all_x, np.s_[::5], axis=0).mean(axis=0)
        left = ((outputs - x) ** 2).sum() / ((x - mean) ** 2).sum()
        assert 1.0 - left == pytest.approx(card.figures["share of variance"], abs=1e-4)


def test_lower_layers_are_for_other_tasks():
    x, y = held_out(load_digits)
    model = zoo.load("digits").drop_top(1)
    model.trainable = False
    model = model.with_head(layers.Dense(1, "sigmoid"))
    model.compile(eg.optimizers.Nadam(0.01), "binary_crossentropy", ["accuracy"])
    even = (y % 2).astype("float32")
    history = model.fit(x[:200], even[:200], epochs=40, verbose=0)
    assert history.history["accuracy"][-1] > 0.9
    assert model.evaluate(x[200:], even[200:], verbose=0)[1] > 0.85


@pytest.mark.skipif(not TOOL.exists(), reason="a copy of the tests without the tools")
def test_a_net_is_made_again_by_its_command(monkeypatch):
    there = zoo.list()["breast_cancer"]
    before = Path(there.path).read_bytes()
    monkeypatch.setattr(sys, "argv", [str(TOOL)])
    made = runpy.run_path(str(TOOL))["breast_cancer"]()
    card = zoo.save(made.model, "again", {"figures": made.figures, "seed": there.seed})
    if (card.isa, sys.platform) == (there.isa, "linux"):
        assert card.checksum == there.checksum
    assert card.figures == pytest.approx(there.figures, abs=0.02)
    assert Path(there.path).read_bytes() == before


# ---- one's own


def test_a_net_of_ones_own(own):
    model = net()
    model.compile("adam", "mse")
    model.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)
    model.feature_names_in_ = list("abcd")
    told = {
        "summary": "Two sums",
        "data": "made up",
        "figures": {"loss": 0.25, "rows": 8},
        "licence": "CC0-1.0",
        "command": "python sums.py",
    }
    card = zoo.save(model, "sums", told)
    assert zoo.list()["sums"] == card
    assert card.path == str(own / "sums.safetensors")
    assert (card.seed, card.parameters, card.input_shape, card.output_shape) == (3, 23, (4,), (2,))
    assert card.version == eg.__version__
    again = zoo.load("sums")
    np.testing.assert_array_equal(again.predict(np.eye(4)), model.predict(np.eye(4)))
    assert again.feature_names_in_ == list("abcd")
    with pytest.raises(RuntimeError, match="call compile"):
        again.fit(np.ones((8, 4)), np.ones((8, 2)))
    # It is a model's file, too.
    assert eg.load_model(card.path).name == again.name
    assert str(card).splitlines()[1:5] == [
        "            Two sums",
        "  data      made up",
        "  figures   loss 0.25, rows 8",
        "  size      23 parameters, (4,) to (2,)",
    ]


def test_the_checksum_is_that_of_what_the_net_is():
    first = zoo.save(net(), "first")
    assert zoo.save(net(), "second", {"summary": "the same"}).checksum == first.checksum
    assert zoo.save(net(seed=4), "third").checksum != first.checksum
    # Out of the zoo and into it again.
    assert zoo.save(zoo.load("first"), "fourth", first).checksum == first.checksum
    assert zoo.list()["fourth"].seed == first.seed


def test_a_net_is_replaced_where_that_is_said(own):
    zoo.save(net(), "mine")
    before = (own / "mine.safetensors").read_bytes()
    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        zoo.save(net(seed=4), "mine")
    assert (own / "mine.safetensors").read_bytes() == before
    zoo.save(net(seed=4), "mine", overwrite=True)
    assert zoo.load("mine").seed == 4


def test_a_failure_leaves_what_was_there(own, monkeypatch):
    zoo.save(net(), "mine")
    before = (own / "mine.safetensors").read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        zoo.save(net(seed=4), "mine", overwrite=True)
    assert (own / "mine.safetensors").read_bytes() == before
    assert sorted(path.name for path in own.iterdir()) == ["mine.safetensors"]


def test_ones_own_come_first(own):
    own.mkdir(parents=True)
    card = zoo.save(net(), "other")
    os.rename(card.path, own / "digits.safetensors")
    assert zoo.load("digits").output_shape == (None, 2)
    assert zoo.list()["digits"].path == str(own / "digits.safetensors")


def test_layers_of_ones_own():
    class Twice(layers.Layer):
        def call(self, x):
            return x * 2.0

    zoo.save(eg.Sequential([eg.Input((2,)), Twice()]), "twice")
    with pytest.raises(ValueError, match="Twice"):
        zoo.load("twice")
    assert zoo.load("twice", {"Twice": Twice}).predict([[1.0, 2.0]]).tolist() == [[2.0, 4.0]]


# ---- the folder


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"EVENGRAD_ZOO": "~/nets"}, "HOME/nets"),
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/evengrad/zoo"),
        ("linux", {"XDG_DATA_HOME": "relative"}, "HOME/.local/share/evengrad/zoo"),
        ("linux", {"EVENGRAD_ZOO": ""}, "HOME/.local/share/evengrad/zoo"),
        ("darwin", {}, "HOME/Library/Application Support/evengrad/zoo"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/evengrad/zoo"),
    ],
)
def test_the_folder(platform, variables, expected, monkeypatch):
    for name in ("EVENGRAD_ZOO", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(_folder.sys, "platform", platform)
    found = zoo.folder().replace(os.path.expanduser("~"), "HOME")
    assert found.replace(os.sep, "/") == expected


@pytest.mark.parametrize(
    "name",
    [
        *("../digits", "a/b", "a\\b", "", ".", "..", "/etc/passwd", "a\0"),
        *("Digits", "-a", "a.b", "nul", "com1", "a" * 65, "a\n", "é"),
    ],
)
def test_names_lead_nowhere_else(name, own):
    for attempt in (lambda: zoo.load(name), lambda: zoo.save(net(), name)):
        with pytest.raises(ValueError, match="name: expected lower-case letters"):
            attempt()
    assert not own.exists()


# ---- what is damaged


def test_damage_is_found():
    path = Path(zoo.save(net(), "mine", {"figures": {"loss": 1.0}}).path)
    whole = path.read_bytes()
    for place in (-1, -40):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(eg.FileFormatError, match="damaged: its checksum differs"):
            zoo.load("mine")
        assert zoo.list()["mine"].fault is None
    for content in (whole[:-8], whole[:100], b"", b"no net" * 20):
        path.write_bytes(content)
        with pytest.raises(eg.FileFormatError, match=r"mine\.safetensors"):
            zoo.load("mine")
    assert "mine.safetensors" in zoo.list()["mine"].fault
    assert "cannot be loaded" in str(zoo.list())
    assert list(zoo.list()) == sorted([*SHIPPED, "mine"])


def test_another_net_under_a_card_is_found():
    card = zoo.save(net(), "mine")
    tensors, metadata = _safetensors.read(card.path)
    tensors["dense/bias"][0] = 1.0
    _safetensors.write(card.path, tensors, metadata)
    with pytest.raises(eg.FileFormatError, match="changed since its card was written: the card"):
        zoo.load("mine")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.pop("name"), "its card is damaged"),
        (lambda card: card.update(figures=[1.0]), "its card is damaged: card: figures: expected"),
        (lambda card: card.update(summary=3), "its card is damaged: card: summary: expected"),
        (lambda card: card.update(checksum="sha256:0"), "changed since its card was written"),
    ],
)
def test_cards_that_are_none(change, message):
    path = Path(zoo.save(net(), "mine").path)

    def rewritten(header, description):
        del description
        card = json.loads(header["__metadata__"]["evengrad_card"])
        change(card)
        header["__metadata__"]["evengrad_card"] = json.dumps(card)

    rewrite(path, rewritten)
    with pytest.raises(eg.FileFormatError, match=message):
        zoo.load("mine")
    header, data = header_of(path.read_bytes())
    header["__metadata__"]["evengrad_card"] = "[" * 9
    path.write_bytes(put_together(header, data))
    assert "its card is damaged" in zoo.list()["mine"].fault


def test_models_without_a_card(own):
    own.mkdir(parents=True)
    net().save(own / "plain.safetensors")
    with pytest.raises(eg.FileFormatError, match=r"has no card.*use eg\.load_model"):
        zoo.load("plain")
    assert "has no card" in zoo.list()["plain"].fault
    # Names that are none are passed over, and so is what is no file of a net.
    net().save(own / "Plain.safetensors")
    (own / "notes.txt").write_text("")
    assert list(zoo.list()) == sorted([*SHIPPED, "plain"])


# ---- what is refused


def test_what_is_refused():
    model = net()
    for card, message in (
        ({"figure": {}}, "card: unknown 'figure'; did you mean 'figures'"),
        ({"checksum": "x"}, "card: unknown 'checksum'"),
    ):
        with pytest.raises(ValueError, match=message):
            zoo.save(model, "mine", card)
    for card, message in (
        ({"figures": {"loss": float("nan")}}, "card: figures: expected a dict of finite numbers"),
        ({"seed": -1}, "card: seed: expected a seed or None"),
        ({"licence": None}, "card: licence: expected a string, got None"),
        ("digits", "card: expected a dict"),
    ):
        with pytest.raises(TypeError, match=message):
            zoo.save(model, "mine", card)
    with pytest.raises(TypeError, match="model: expected a model"):
        zoo.save(layers.Dense(2), "mine")
    with pytest.raises(TypeError, match="name: expected a string, got 3"):
        zoo.save(model, 3)
    with pytest.raises(ValueError, match=r"zoo\.save before the model is built"):
        zoo.save(eg.Sequential([layers.Dense(2)]), "mine")
    with pytest.raises(ValueError, match="'digits' is that of a net that comes along"):
        zoo.save(model, "digits", overwrite=True)
    with pytest.raises(ValueError, match="no net 'digit' in the zoo; did you mean 'digits'"):
        zoo.load("digit")
    assert list(zoo.list()) == SHIPPED


def test_texts_reach_no_terminal_with_control_characters():
    card = replace(zoo.list()["digits"], summary="a\x1b[2Jb")
    assert "\x1b" not in str(card)
    assert "\x1b" not in str(zoo.Catalogue({"digits": card}))
