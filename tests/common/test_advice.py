"""Advice: warnings of one class, at the user's line, and no lines of a log."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers

FILES = sorted(Path(eg.__file__).parent.rglob("*.py"))


def train():
    model = eg.Sequential([layers.Dense(2), layers.Dense(1)])
    model.build((None, 3))
    for layer in model.layers:
        layer.trainable = False
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 3)), np.ones(4), verbose=0)


def test_advice_is_a_warning_at_the_line_of_the_user():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train()
    (found,) = caught
    assert found.category is eg.EvengradWarning
    assert issubclass(found.category, UserWarning)
    assert found.filename == __file__
    assert "training changes nothing" in str(found.message)
    assert (
        Path(__file__)
        .read_text(encoding="utf-8")
        .splitlines()[found.lineno - 1]
        .startswith("    model.fit(")
    )


def test_advice_can_be_made_an_error_and_silenced():
    with warnings.catch_warnings():
        warnings.simplefilter("error", eg.EvengradWarning)
        with pytest.raises(eg.EvengradWarning, match="all variables are frozen"):
            train()
        warnings.simplefilter("ignore", eg.EvengradWarning)
        train()


def test_no_advice_goes_to_the_log_or_is_of_another_class():
    # scikit-learn has classes of its own for what its users look for.
    ours = [path for path in FILES if "sklearn" not in path.parts and path.name != "advice.py"]
    other = re.compile(r"logger\.warning\(|warnings\.warn\(")
    found = [path.name for path in ours if other.search(path.read_text(encoding="utf-8"))]
    assert found == []
    assert len(ours) > 300
