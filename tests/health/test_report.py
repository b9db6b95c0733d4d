"""`History.report`: one page, whole by itself, whatever the names and however long the training."""

import collections
import html.parser
import itertools
import json
import pickle
import re

import numpy as np
import pytest
from browser import ask, run
from histories import findings, health, watched

import evengrad as eg
from evengrad import callbacks, layers
from evengrad._common.plot_style import OKABE_ITO
from evengrad.health import Finding, Remedy
from evengrad.health._report import _style
from evengrad.health._report._activations import activations_of
from evengrad.health._report._heat_map import Shading, cells
from evengrad.health._report._lines import path_of
from evengrad.health._report._outcomes import kind_of
from evengrad.health._report._scale import Scale, scale_of, ticks
from evengrad.health._report._thinning import averaged, kept_points, stretches_of

HOSTILE = (
    "<script>alert(1)</script>",
    '" onload="alert(1)',
    "' autofocus onfocus='alert(1)",
    "]]></script><img src=x onerror=alert(1)>",
    "--><svg/onload=alert(1)>",
    "\u202egpj.exe\x00\x1b[31m\ud800",
    "</title></style>{}",
    "&lt;b&gt;",
)
VOID = {"meta", "br"}


class Tree(html.parser.HTMLParser):
    """What a page consists of; refuses what is not closed as it was opened."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.stack, self.tags, self.texts = [], [], collections.defaultdict(list)
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), attrs
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.texts[self.stack[-1] if self.stack else ""].append(data)

    def all(self, tag, **wanted):
        return [a for t, a in self.tags if t == tag and wanted.items() <= a.items()]


def page(history, tmp_path, *data):
    path = tmp_path / "run.html"
    history.report(path, *data)
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) <= 1_000_000
    return text


def trained(loss="sparse_categorical_crossentropy", head=("softmax", 3), **fit):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 4)).astype("float32")
    model = eg.Sequential([layers.Dense(8, "relu"), layers.Dense(head[1], head[0])], seed=3)
    model.compile("adam", loss)
    y = fit.pop("y", rng.integers(0, 3, 90))
    return model.fit(x, y, epochs=2, verbose=0, **fit), x, y


def data_of(tree):
    return json.loads("".join(tree.texts["script"]).split("\n", 1)[0])


class TestPage:
    def test_it_is_whole(self, tmp_path):
        history, x, y = trained(validation_split=0.2)
        names = [layer.path for layer in history.model.layers]
        history.health, history.findings = health(names, 2, 3), findings(names[0])
        text = page(history, tmp_path, x, y)
        tree = Tree(text)
        assert text.startswith("<!DOCTYPE html>")
        words = " ".join(itertools.chain(*tree.texts.values()))
        for title in (
            "Findings",
            "Learning curves",
            "seconds of an epoch",
            "Gradient speed",
            "Update ratio",
            "Activations by layer",
            "Dead units",
            "Saturated units",
            "Learning rate",
            "Gradient norm",
            "Clipping",
            "Confusion matrix",
            "Model",
            "Settings and versions",
            "steps per second",
            "optimizer.learning_rate",
            "multiply-adds",
        ):
            assert title in words, title
        # Links lead to sections; identifiers are used once; headings follow each other.
        ids = [a["id"] for _, a in tree.tags if "id" in a]
        assert len(ids) == len(set(ids))
        assert {a["href"][1:] for a in tree.all("a")} <= set(ids)
        levels = [int(tag[1]) for tag, _ in tree.tags if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))

    def test_it_needs_nothing_from_elsewhere(self, tmp_path):
        text = page(watched(), tmp_path)
        urls = set(re.findall(r"\w+://[^\s\"'<>)]*", text))
        assert urls == {"http://www.w3.org/2000/svg"}
        assert not re.search(r"@import|url\(|<link|<img|<iframe|<object|\ssrc=|\sstyle=", text)
        policy = Tree(text).all("meta", **{"http-equiv": "Content-Security-Policy"})
        assert "default-src 'none'" in policy[0]["content"]
        assert "unsafe" not in policy[0]["content"]

    def test_pictures_say_what_they_show(self, tmp_path):
        tree = Tree(page(watched(), tmp_path))
        drawn = tree.all("svg")
        named = [a for a in drawn if a.get("role") == "img"]
        assert len(named) > 10
        assert all(a["aria-label"] for a in named)
        assert all(a.get("aria-hidden") == "true" for a in drawn if a not in named)
        # Once as a title, once as a description, and as a table.
        assert len(tree.texts["desc"]) == len(named)
        assert "Values as a table" in tree.texts["summary"]
        loss = next(a["aria-label"] for a in named if a["aria-label"].startswith("loss:"))
        assert "training goes from 2.35 at epoch 1 to 0.1645 at epoch 30" in loss
        for one in tree.all("th"):
            assert one["scope"] in {"row", "col"}

    @pytest.mark.parametrize("is_watched", [False, True])
    def test_without_findings(self, is_watched, tmp_path):
        history = watched()
        history.findings = ()
        if not is_watched:
            history.health = {}
        text = page(history, tmp_path)
        assert ("callbacks.GradientDoctor()" in text) is not is_watched
        assert ("Nothing is wrong" in text) is is_watched

    def test_findings_have_their_cures_and_consequences(self, tmp_path):
        text = page(watched(), tmp_path)
        tree = Tree(text)
        # A root with what follows from it, and two more: consequences have no card of their own.
        assert len(tree.all("article")) == 3
        assert "since step 14" in text
        assert "activation=&quot;elu&quot;" in text
        assert "First in the inputs, row 3 of the batch, rows 1203, 1204 of the data" in text
        assert "over that of the first: 3.2e-07, alarm at 0.0001" in text
        assert text.index("Vanishing gradients") < text.index("Saturated activations")
        assert "<pre" in text
        assert "    layers.Dense(64, norm" in text

    def test_a_finding_whose_root_is_not_among_them_stands_alone(self, tmp_path):
        history = watched()
        history.findings = findings("dense")[1:2]
        assert "Saturated activations" in page(history, tmp_path)

    def test_an_empty_history(self, tmp_path):
        text = page(callbacks.History(), tmp_path)
        assert "No epoch has ended yet" in text

    def test_it_is_read_again_after_pickling(self, tmp_path):
        history, x, y = trained()
        before = page(history, tmp_path, x, y)
        again = pickle.loads(pickle.dumps(history))  # noqa: S301 - what was just written
        assert page(again, tmp_path, x, y) == before

    def test_settings_are_those_of_the_training(self, tmp_path):
        history, _, _ = trained()
        kept = history.settings
        history.model.compile("sgd", "mse")
        assert kept.arguments is None
        text = page(history, tmp_path)
        assert "sparse_categorical_crossentropy" in text
        assert "Adam" in text

    def test_a_failure_leaves_the_old_page(self, tmp_path):
        history = watched()
        before = page(history, tmp_path)
        history.history["loss"] = [object()] * 30
        with pytest.raises(TypeError):
            history.report(tmp_path / "run.html")
        assert (tmp_path / "run.html").read_text(encoding="utf-8") == before
        assert len(list(tmp_path.iterdir())) == 1


class TestHostileNames:
    def hostile(self):
        history = watched(6, 2, HOSTILE)
        history.history = {
            **history.history,
            **{f"val_{name}": [1.0] * 6 for name in HOSTILE},
            **{name: [float(at) for at in range(6)] for name in HOSTILE},
        }
        history.findings = tuple(
            Finding("dead_units", name, 1.0, 0.5, 3, "error", "data", tensor=name,
                    remedies=(Remedy(name, f"x = {name!r}\n{name}"),))
            for name in HOSTILE
        )  # fmt: skip
        history.params = {name: name for name in HOSTILE}
        history.outcome = {"confusion": np.eye(len(HOSTILE)), "labels": list(HOSTILE)}
        return history

    def test_they_are_text(self, tmp_path):
        text = page(self.hostile(), tmp_path)
        tree = Tree(text)
        kinds = collections.Counter(tag for tag, _ in tree.tags)
        assert kinds["script"] == 2
        assert not kinds["img"]
        for _, attributes in tree.tags:
            assert not any(name.startswith("on") for name in attributes)
            assert "autofocus" not in attributes
        layer_names = data_of(tree)["health"]["layers"]
        assert layer_names[0] == HOSTILE[0]
        assert not re.search("[\x00\x1b\u202e]", text)

    def test_a_browser_runs_none_of_it(self, tmp_path):
        page(self.hostile(), tmp_path)
        found, log = ask(
            tmp_path / "run.html",
            """
            let called = 0;
            view.alert = () => { called += 1; };
            one("#layer").value = "3";
            one("#layer").dispatchEvent(new view.Event("change"));
            const svg = one("#layers > .grid:last-child figure > svg");
            key(svg, "ArrowRight");
            return [called, one(".tip").textContent, all("#layer-panel img").length,
                    one("#layer-panel h3").textContent];
            """,
        )
        called, tip, images, heading = found
        assert (called, images, log) == (0, 0, [])
        assert HOSTILE[0] in tip
        assert HOSTILE[3] in heading


class TestSize:
    def test_ten_thousand_epochs_and_two_hundred_layers(self, tmp_path):
        names = [f"block_{at // 4}/dense_{at}" for at in range(200)]
        history = watched(10_000, 1, ["dense"])
        history.health = health(names, 1000, 2)
        history.history["loss"][7777] = 1e6
        tree = Tree(page(history, tmp_path))
        charts = data_of(tree)["charts"]
        loss = next(iter(charts.values()))
        assert len(loss["x"]) < 1000
        # What stands out is still there.
        assert 7778 in loss["x"]

    def test_many_figures_and_layers(self, tmp_path):
        history = watched(500, 1, [f"{'x' * 300}{at}" for at in range(2000)])
        for at in range(300):
            history.history[f"metric_{'y' * 3000}{at}"] = list(np.sin(np.arange(500) * at))
        text = page(history, tmp_path)
        assert "more figures are in history.history" in text

    def test_many_classes(self, tmp_path):
        history = watched()
        counts = np.random.default_rng(0).integers(0, 50, (1000, 1000))
        history.outcome = {"confusion": counts, "labels": list(range(1000))}
        assert "17 classes to a cell" in page(history, tmp_path)


class TestDrawing:
    def test_what_is_no_number_is_a_gap(self):
        xs, ys = np.arange(6.0), np.array([1, 2, np.nan, 3, np.nan, np.inf])
        assert path_of(xs, ys) == "M0 1L1 2M3 3h0"

    def test_cells_that_are_alike_are_one(self):
        shades = np.array([[0, 0, 3], [-1, 0, -2]])
        assert str(cells(shades)) == (
            '<path d="M2 1h1v1h-1z" class="zero"/><path d="M0 0h2v1h-2zM1 1h1v1h-1z" class="h0"/>'
            '<path d="M2 0h1v1h-1z" class="h3"/>'
        )

    def test_shades(self):
        values = np.array([1e-6, 1e-3, 1.0, 0.0, np.nan, np.inf, -1.0])
        assert Shading(1e-6, 1.0, log=True).of(values).tolist() == [0, 6, 11, -2, -1, -1, -1]
        shares = np.array([0.0, 0.5, 1.0, np.nan])
        assert Shading(0.0, 1.0, log=False).of(shares).tolist() == [0, 6, 11, -1]

    def test_axes(self):
        assert ticks(0, 10) == [0, 2, 4, 6, 8, 10]
        assert ticks(0.1, 0.35) == pytest.approx([0.1, 0.15, 0.2, 0.25, 0.3, 0.35])
        logarithmic = Scale(1e-4, 1.0, 0.0, 100.0, log=True)
        assert logarithmic.ticks() == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1])
        np.testing.assert_allclose(logarithmic.at([1e-4, 1e-2, 1.0, -1.0]), [0, 50, 100, np.nan])
        # Neither constants nor extremes nor nothing at all leave an axis without a span.
        for values in ([3.0], [0.0], [-1e308, 1e308], [np.nan], [5e-324, 1.0]):
            for log in (False, True):
                axis = scale_of(np.array(values), 0.0, 1.0, log)
                assert axis.low < axis.high
                assert np.isfinite(axis.ticks()).all()

    def test_thinning_keeps_what_stands_out(self):
        values = np.zeros(10_000)
        values[1234], values[4321], values[7000] = 5.0, -5.0, np.nan
        kept = kept_points([values], 100)
        assert len(kept) <= 160
        assert {0, 1234, 4321, 7000, 9999} <= set(kept.tolist())
        np.testing.assert_array_equal(kept_points([values[:50]], 100), np.arange(50))

    def test_means_of_stretches(self):
        values = np.array([[1.0, 0.0], [100.0, 0.0], [np.nan, np.inf], [3.0, np.nan]])
        halves = [np.arange(2), np.arange(2, 4)]
        np.testing.assert_allclose(averaged(values, halves, True), [[10, 0], [3, np.nan]])
        np.testing.assert_allclose(averaged(values, halves, False), [[50.5, 0], [3, np.nan]])

    @pytest.mark.parametrize(
        ("epochs", "samples", "most", "size"),
        [(30, 4, 96, 2), (30, 4, 30, 4), (30, 4, 20, 8), (1, 7, 96, 1), (100, 1, 96, 2)],
    )
    def test_stretches_are_parts_of_epochs_or_whole_ones(self, epochs, samples, most, size):
        found = stretches_of(np.repeat(np.arange(epochs), samples), most)
        assert {len(one) for one in found[:-1]} | {size} == {size}
        assert sum(map(len, found)) == epochs * samples

    def test_one_epoch_and_one_sample(self, tmp_path):
        Tree(page(watched(1, 1, ["dense"]), tmp_path))

    def test_a_doctor_that_knows_nothing_yet(self, tmp_path):
        history = watched()
        empty = health(["dense"], 1, 1)
        history.health = {
            name: value[:0] if isinstance(value, np.ndarray) else value
            for name, value in empty.items()
        }
        Tree(page(history, tmp_path))
        history.health = {
            name: np.full_like(value, np.nan, dtype=float)
            if isinstance(value, np.ndarray) and name not in {"step", "epoch"}
            else value
            for name, value in empty.items()
        }
        Tree(page(history, tmp_path))


def luminance(color):
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted([luminance(one), luminance(other)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colors", [_style.LIGHT, _style.DARK], ids=["light", "dark"])
def test_contrasts(colors):
    known = dict(re.findall(r"--([\w-]+):(#\w+)", colors))
    known = {
        name: color if len(color) == 7 else "#" + "".join(c * 2 for c in color[1:])
        for name, color in known.items()
    }
    # As WCAG 2.2 asks for at level AA: of text 4.5, of what pictures are made of 3.
    for ground in ("card", "page"):
        for text in ("text", "soft", "accent"):
            assert contrast(known[text], known[ground]) >= 4.5, (text, ground)
    assert contrast(known["text"], known["code"]) >= 4.5
    for at in range(12):
        assert contrast(known[f"i{at}"], known[f"h{at}"]) >= 4.5, at
    for line in ("s1", "s2"):
        assert contrast(known[line], known["card"]) >= 3, line
    assert {known[f"s{at}"] for at in range(1, 7)} <= set(OKABE_ITO.values())


class TestOutcomes:
    @pytest.mark.parametrize("one_hot", [False, True])
    def test_classes(self, one_hot):
        loss = "categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy"
        labels = np.random.default_rng(0).integers(0, 3, 90)
        y = eg.utils.to_categorical(labels, 3) if one_hot else labels
        history, x, _ = trained(loss, y=y)
        expected = np.zeros((3, 3), int)
        np.add.at(expected, (labels, history.model.predict(x).argmax(-1)), 1)
        np.testing.assert_array_equal(outcome_of(history, x, y)["confusion"], expected)

    @pytest.mark.parametrize(
        ("loss", "activation", "limit"),
        [
            ("binary_crossentropy", "sigmoid", 0.5),
            ("binary_crossentropy", None, 0.0),
            ("hinge", None, 0.0),
            ("mse", "sigmoid", 0.5),
        ],
    )
    def test_yes_and_no(self, loss, activation, limit):
        y = np.random.default_rng(0).integers(0, 2, 90)
        history, x, _ = trained(loss, (activation, 1), y=y)
        expected = np.zeros((2, 2), int)
        np.add.at(expected, (y, (history.model.predict(x)[:, 0] > limit).astype(int)), 1)
        assert expected.min() > 0 or loss != "hinge"
        np.testing.assert_array_equal(outcome_of(history, x, y)["confusion"], expected)

    def test_the_threshold_outlives_the_arguments_of_compile(self):
        y = np.random.default_rng(0).integers(0, 2, 90)
        history, x, _ = trained("binary_crossentropy", (None, 1), y=y)
        before = outcome_of(history, x, y)["confusion"]
        history.model.compile("sgd", "mse")
        np.testing.assert_array_equal(outcome_of(history, x, y)["confusion"], before)

    def test_numbers(self):
        y = np.random.default_rng(0).normal(size=90)
        history, x, _ = trained("mse", (None, 1), y=y)
        found = outcome_of(history, x, y)
        predicted = history.model.predict(x)[:, 0].astype(float)
        np.testing.assert_array_equal(found["predicted"], predicted)
        np.testing.assert_array_equal(found["residuals"], y - predicted)

    def test_many_rows_are_predicted_block_by_block(self, monkeypatch):
        history, x, _ = trained("mse", (None, 1), y=np.zeros(90))
        asked = []
        plain = history.model.predict
        monkeypatch.setattr(
            history.model, "predict", lambda x: asked.append(len(x)) or plain(x), raising=False
        )
        many = np.tile(x, (2000, 1))
        found = outcome_of(history, many, np.arange(len(many)) % 7.0)
        assert max(asked) <= 8192
        assert sum(asked) == len(many)
        # As many as a page needs, spread over all rows.
        assert len(found["residuals"]) == len(many) // 2

    def test_two_outputs(self, tmp_path):
        inputs = eg.Input((4,))
        ends = [layers.Dense(3, "softmax", name="kind"), layers.Dense(1, name="size")]
        model = eg.Model(inputs, [end(inputs) for end in ends])
        model.compile("adam", ["sparse_categorical_crossentropy", "mse"])
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(30, 4)), [rng.integers(0, 3, 30), rng.normal(size=30)]
        history = model.fit(x, y, verbose=0)
        text = page(history, tmp_path, x, y)
        assert "Confusion matrix of kind" in text
        assert "Residuals of size" in text

    def test_sequences_of_classes(self):
        p, y = np.zeros((2, 5, 3)), np.zeros((2, 5), int)
        assert kind_of(p, y, None) == "classes"
        assert kind_of(np.zeros((4, 1)), np.array([[0.5], [1], [0], [1]]), None) == "numbers"

    def test_what_it_refuses(self, tmp_path):
        history, x, y = trained()
        path = tmp_path / "run.html"
        with pytest.raises(ValueError, match="x, y: expected both or neither, got no y"):
            history.report(path, x)
        with pytest.raises(ValueError, match="90 rows of x, but 50 of y"):
            history.report(path, x, y[:50])
        with pytest.raises(ValueError, match="x: this history is of no model"):
            watched().report(path, x, y)
        assert not path.exists()

    @pytest.mark.parametrize("is_watched", [False, True])
    def test_activations_for_the_data(self, is_watched, tmp_path):
        history, x, y = trained()
        hidden, head = (layer.path for layer in history.model.layers)
        if is_watched:
            history.health = health([head, "inside/another", hidden], 2, 3)
            del history.health["activation_histogram"], history.health["activation_edges"]
        found = activations_of(history, x)
        assert found["layers"] == (
            [head, "inside/another", hidden] if is_watched else [hidden, head]
        )
        at = found["layers"].index(hidden)
        counts, edges = np.histogram(history.model.features(x, 0), bins=32)
        np.testing.assert_array_equal(found["activation_histogram"][at], counts)
        np.testing.assert_allclose(found["activation_edges"][at], edges)
        tree = Tree(page(history, tmp_path, x, y))
        assert "Activations by layer" in tree.texts["h3"]
        assert len(tree.all("figure", **{"class": "small"})) == 2

    def test_a_metric_that_counts(self, tmp_path):
        history = watched(2)
        ours, theirs = np.array([[5.0, 1], [0, 2]]), np.array([[9.0, 4], [7, 3]])
        history.history |= {"val_matrix": [ours, theirs], "matrix": [ours, ours]}
        np.testing.assert_array_equal(outcome_of(history, None, None)["confusion"], theirs)
        assert "Confusion matrix" in page(history, tmp_path)

    def test_figures_of_each_class(self, tmp_path):
        history = watched(2)
        history.history["recall"] = [np.linspace(0, 1, 9), np.linspace(1, 0, 9)]
        text = page(history, tmp_path)
        assert "the lowest of 9 classes" in text
        assert "class 8" in text
        assert "class 2 " not in text

    def test_what_a_doctor_left(self, tmp_path):
        history = watched()
        history.outcome = {"predicted": [1.0, 2.0, np.nan], "residuals": [0.1, -0.2, np.inf]}
        assert "Residuals" in page(history, tmp_path)
        history.outcome = {"confusion": [[5, 1], [0, 0]], "labels": ["cat", "dog"]}
        text = page(history, tmp_path)
        assert "cat" in text
        assert "Most frequent mistakes" in text


def outcome_of(history, x, y):
    from evengrad.health._report._outcomes import outcomes_of

    return outcomes_of(history, x, y)[""]


class TestBrowser:
    def test_values_by_pointer_and_keyboard(self, tmp_path):
        page(watched(), tmp_path)
        found, log = ask(
            tmp_path / "run.html",
            """
            const curve = one("#curves figure > svg"), map = one("#layers figure > svg");
            point(curve, 0.99, 0.5);
            const hovered = one(".tip").textContent;
            key(curve, "Home");
            key(curve, "ArrowRight");
            const second = one(".heard").textContent;
            key(curve, "Escape");
            const hidden = one(".tip").hidden;
            key(map, "ArrowRight");
            key(map, "ArrowDown");
            const cell = one(".heard").textContent;
            key(map, "Enter");
            return {hovered, second, hidden, cell, picked: one("#layer").value,
                    panel: all("#layer-panel h3").map((h) => h.textContent),
                    marked: all(".picked").length,
                    focusable: all("#curves figure > svg").every((s) => s.tabIndex === 0)};
            """,
        )
        assert log == []
        assert found["hovered"].startswith("epoch 30\ntraining: 0.1645")
        assert found["second"].startswith("epoch 2\n")
        assert found["hidden"]
        assert found["cell"].startswith("dense_1\nepoch 1, step 0: ")
        assert found["picked"] == "1"
        assert found["panel"][0] == "dense_1: gradients and updates"
        assert found["marked"] == 3
        assert found["focusable"]

    @pytest.mark.parametrize("width", [400, 1200])
    def test_nothing_is_cut_off(self, width, tmp_path):
        history, x, y = trained(validation_split=0.2)
        names = [layer.path for layer in history.model.layers]
        history.health, history.findings = health(names, 2, 3), findings("x" * 70)
        page(history, tmp_path, x, y)
        found, log = ask(
            tmp_path / "run.html",
            """
            for (const one of all("details")) one.open = true;
            const wide = page.documentElement.clientWidth;
            return {
              wide: page.documentElement.scrollWidth - wide,
              cut: all(".card, figure, svg[role=img], h1, h2, h3, p").filter((one) => {
                const box = one.getBoundingClientRect();
                return box.width && (box.right > wide + 1 || box.left < -1);
              }).length,
              small: all("svg[role=img] text").map((text) => {
                const svg = text.ownerSVGElement;
                return 11 * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
              }).reduce((a, b) => Math.min(a, b)),
            };
            """,
            width,
        )
        assert log == []
        assert (found["wide"], found["cut"]) == (0, 0)
        # The labels of pictures in pixels.
        assert found["small"] > 9

    def test_a_page_that_no_doctor_had_a_part_in(self, tmp_path):
        history, x, y = trained()
        page(history, tmp_path, x, y)
        found, log = ask(
            tmp_path / "run.html",
            """
            key(one("#curves figure > svg"), "End");
            return [one(".heard").textContent, one(".picker")];
            """,
        )
        assert log == []
        assert found[0].startswith("epoch 2\ntraining: ")
        assert found[1] is None

    def test_without_scripts(self, tmp_path):
        text = page(watched(), tmp_path)
        path = tmp_path / "plain.html"
        path.write_text(re.sub("<script.*?</script>", "", text, flags=re.DOTALL), encoding="utf-8")
        shown, log = run(path, "--dump-dom")
        assert log == []
        # Nothing that is shown comes of the script; what cannot work without it is hidden.
        assert shown.count("<svg") == text.count("<svg")
        assert re.search(r'class="picker" hidden', shown)
