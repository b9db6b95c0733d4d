"""What a diagnosis shows: tables within 100 columns, escaped HTML, JSON, pictures, remedies."""

import dataclasses
import json

import numpy as np
import pytest
from examinations import digits, examination, facts

from evengrad.health._causality import judge
from evengrad.health._diagnosis import Diagnosis
from evengrad.health._examination import MEASURES

HOSTILE = "<script>alert(1)</script>\n\x1b[31m" + "x" * 80


def diagnosed(examined, treat=None):
    return Diagnosis(examined, judge(examined), treat)


def sick(names=()):
    layers = [
        dataclasses.replace(layer, path=name)
        for layer, name in zip(
            facts(3, activation="tanh"), names or ("a", "b", "c", "d"), strict=True
        )
    ]
    return examination(
        tuple(layers), data=digits(1000), saturated=0.99, update_ratio=0.5, preactivation_std=1e3
    )


def test_lines_fit_100_columns():
    names = [HOSTILE, "b/" * 40, "c", "d"]
    for examined in (sick(), sick(names), examination(), examination(facts(200))):
        text = str(diagnosed(examined))
        assert max(map(len, text.splitlines())) <= 100
        assert "\x1b" not in text


def test_text_tells_findings_remedies_and_what_follows():
    text = str(diagnosed(sick()))
    assert text.splitlines()[0].endswith("1 root cause, 2 consequences.")
    assert "warning: unscaled inputs in a (inputs)" in text
    assert "1. Standardize the inputs" in text
    assert "scaling.adapt(x)" in text
    assert "- follows: saturated activations in a from step 0 (inputs)" in text


def test_healthy_says_so():
    diagnosis = diagnosed(examination())
    assert diagnosis.healthy
    assert str(diagnosis).startswith("Diagnosis of 6 layers, 40 watched steps: healthy.")
    assert repr(diagnosis) == "<Diagnosis of 6 layers: healthy>"


def test_layers_have_all_measures_by_name():
    diagnosis = diagnosed(sick())
    assert list(diagnosis.layers) == ["a", "b", "c", "d"]
    assert set(diagnosis.layers["a"]) == set(MEASURES)
    assert diagnosis.layers["a"]["saturated"] == 0.99


def test_gradients_are_those_of_the_beginning_and_outputs_those_of_the_end():
    examined = examination(speed=np.geomspace(1, 1e-3, 40)[:, None])
    examined.before = {"speed": np.full(6, 7.0), "dead": np.full(6, 0.1)}
    examined.after = {"speed": np.full(6, 9.0), "dead": np.full(6, 0.3)}
    layer = diagnosed(examined).layers["dense"]
    assert (layer["speed"], layer["dead"]) == (7, 0.3)


def test_html_is_escaped():
    shown = diagnosed(sick([HOSTILE, "b", "c", "d"]))._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "<table>" in shown


def test_json_round_trip():
    examined = sick()
    examined.measures["dead"][:] = np.nan
    examined.loss[-1] = np.inf
    plain = diagnosed(examined).to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["layers"]["a"]["dead"] is None
    assert plain["findings"][0]["because"] is None
    assert plain["findings"][1]["because"] == 0
    assert plain["findings"][0]["remedies"][0]["automatic"] is True


def test_plot():
    pytest.importorskip("matplotlib")
    axes = diagnosed(sick([HOSTILE, "b", "c", "d"])).plot()
    assert [one.get_ylabel() for one in axes] == ["gradient speed", "update over weights", "loss"]
    with pytest.raises(ValueError, match="expected 3 axes, got 1"):
        diagnosed(sick()).plot(axes[0])


def test_apply_takes_the_first_automatic_remedy():
    carried_out = []
    diagnosis = diagnosed(sick(), lambda treatment: carried_out.append(treatment) or "model")
    assert diagnosis.apply() == "model"
    assert diagnosis.apply(diagnosis.findings[1].remedies[0]) == "model"
    assert [one.change for one in carried_out] == ["scale_inputs", "scale_inputs"]


def test_apply_of_what_only_a_person_can_do():
    examined = examination(data=digits(non_finite_inputs=3))
    diagnosis = diagnosed(examined, lambda treatment: treatment)
    with pytest.raises(ValueError, match="only you can do that: Leave out, or fill in"):
        diagnosis.apply(diagnosis.findings[0].remedies[0])
    with pytest.raises(ValueError, match="none that can be applied automatically; Leave out"):
        diagnosis.apply()
    with pytest.raises(ValueError, match="the training is healthy"):
        diagnosed(examination()).apply()
    with pytest.raises(ValueError, match="expected a diagnosis with a model"):
        diagnosed(sick()).apply()
