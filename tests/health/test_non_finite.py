"""Causes and remedies of numbers that are not finite, by what is known of the step."""

import pytest

from evengrad.health._finding import CAUSES, Finding, rows_as_text
from evengrad.health._non_finite import Circumstances, finding_of

CASES = {
    "input": ({"tensor": "input", "rows": (5,), "numbered": True}, "inputs"),
    "broken before": ({"tensor": "weight", "before": True, "step": 9}, "initializer"),
    "labels": ({"tensor": "loss", "bad_labels": True, "batch_rows": (1,)}, "labels"),
    "outliers": ({"tensor": "activation", "outliers": (7,), "signal": 1e30}, "inputs"),
    "penalty": ({"tensor": "loss", "penalty": True}, "regularization"),
    "function": ({"tensor": "activation", "own_function": True}, "activation"),
    "function of large numbers": (
        {"tensor": "activation", "own_function": True, "signal": 1e20, "step": 3},
        "learning_rate",
    ),
    "function of large weights": (
        {"tensor": "activation", "own_function": True, "weights": 1e20, "step": 3},
        "learning_rate",
    ),
    "steps of a sequence": ({"tensor": "activation", "recurrent": True, "step": 3}, "activation"),
    "first values": ({"tensor": "activation", "signal": 1e20}, "initializer"),
    "kernel that has grown": ({"tensor": "activation", "step": 3}, "learning_rate"),
    "loss by itself": ({"tensor": "loss", "step": 3}, "loss"),
    "loss of large outputs": ({"tensor": "loss", "signal": 1e20, "step": 3}, "learning_rate"),
    "way back of the loss": ({"tensor": "gradient", "layer": None, "step": 3}, "loss"),
    "derivative": ({"tensor": "gradient", "step": 3}, "activation"),
    "through time": ({"tensor": "gradient", "recurrent": True, "step": 3}, "architecture"),
    "square": ({"tensor": "slot", "step": 3}, "optimizer"),
    "square of large gradients": ({"tensor": "slot", "step": 3, "signal": 1e20}, "learning_rate"),
    "division by nothing": ({"tensor": "weight", "step": 3}, "optimizer"),
    "rate": ({"tensor": "weight", "learning_rate": 1e30}, "learning_rate"),
}


def known(**given):
    given = {"layer": "dense", "step": 0, "learning_rate": 0.01, "share": 0.5, **given}
    return Circumstances(**given)


@pytest.mark.parametrize("name", CASES)
def test_causes_and_remedies(name):
    given, cause = CASES[name]
    finding = finding_of(known(**given))
    assert finding.cause == cause
    assert cause in CAUSES
    assert (finding.kind, finding.severity, finding.threshold) == ("non_finite", "error", 0.0)
    assert finding.remedies
    for remedy in finding.remedies:
        assert 0 < len(remedy.text) <= 400
        assert remedy.code


def test_what_a_person_alone_can_do_is_not_automatic():
    for name in ("input", "labels", "function", "loss by itself", "broken before"):
        assert not finding_of(known(**CASES[name][0])).remedies[0].automatic
    for name in ("kernel that has grown", "penalty", "first values", "through time"):
        assert finding_of(known(**CASES[name][0])).remedies[0].automatic


def test_rows_are_those_of_the_data_where_known():
    given = {"tensor": "input", "batch_rows": (1, 2), "rows": (8, 9), "numbered": True}
    assert "rows 8, 9 of the data" in finding_of(known(**given)).remedies[0].text
    given = {"tensor": "input", "batch_rows": (1,)}
    assert "row 1 of the batch" in finding_of(known(**given)).remedies[0].text


def test_many_rows_are_counted():
    assert rows_as_text((4,)) == "row 4"
    assert rows_as_text(tuple(range(8))) == "rows 0, 1, 2, 3, 4 and 3 more"


def test_places_as_messages_say_them():
    given = {"step": 1, "severity": "error", "cause": "inputs"}
    finding = Finding("non_finite", "dense", 0.5, 0.0, tensor="gradient", **given)
    assert finding.place == "the gradient of layer 'dense'"
    finding = Finding(
        "non_finite", None, 0.5, 0.0, tensor="loss", batch_rows=(3,), rows=(90,), **given
    )
    assert finding.place == "the loss, row 3 of the batch, row 90 of the data"
    assert str(finding) == (
        "non finite from step 1 (inputs): NaN or infinite numbers in the loss, row 3 of the batch, "
        "row 90 of the data"
    )
