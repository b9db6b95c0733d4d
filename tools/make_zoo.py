"""Train the nets that come along with the package, as their cards say.

    python tools/make_zoo.py             # all of them, into python/evengrad/zoo/nets
    python tools/make_zoo.py digits      # one of them
    python tools/make_zoo.py --check     # trains, and compares with what is there

With the same versions of evengrad and scikit-learn's data, on the same instruction set, a net has
the same bits again, for any number of threads; on another one (see ``isa`` in the card) it comes to
nearly the same figures. Needs scikit-learn, whose data comes with it.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import datasets

import evengrad as eg
from evengrad import layers, optimizers
from evengrad.optimizers import schedules
from evengrad.zoo._folder import SHIPPED, SUFFIX
from evengrad.zoo._nets import write_net

if TYPE_CHECKING:
    from collections.abc import Callable

    Array = np.ndarray[Any, Any]

LICENCE = "MIT OR Apache-2.0"
DIGITS = (
    "scikit-learn's load_digits: 1797 images of 8 x 8 pixels from 0 to 16, of Alpaydin and Kaynak, "
    "Optical Recognition of Handwritten Digits (UCI, CC BY 4.0); every fifth row was held out"
)
CANCER = (
    "scikit-learn's load_breast_cancer: 569 rows of 30 measures, of Wolberg, Mangasarian, Street "
    "and Street, Breast Cancer Wisconsin, Diagnostic (UCI, CC BY 4.0); every fifth row was held out"
)
SEED = 42


@dataclass
class Split:
    """Rows to train on, and every fifth row, which is held out."""

    x: Array
    y: Array
    test_x: Array
    test_y: Array

    @classmethod
    def of(cls, loader: Callable[..., Any]) -> Split:
        """Return data of scikit-learn, split."""
        x, y = loader(return_X_y=True)
        x, y = x.astype(np.float32), y.astype(np.int64)
        held = np.arange(len(x)) % 5 == 0
        return cls(x[~held], y[~held], x[held], y[held])


@dataclass
class Made:
    """A net with what its card tells."""

    model: eg.Model
    summary: str
    data: str
    figures: dict[str, float]


def fit(model: eg.Model, loss: str, split: Split, y: Array, epochs: int, rate: float) -> None:
    """Train with Nadam, whose rate falls along half a cosine, on batches of 32."""
    steps = epochs * -(-len(split.x) // 32)
    optimizer = optimizers.Nadam(schedules.CosineDecay(rate, steps))
    model.compile(optimizer, loss)
    model.fit(split.x, y, epochs=epochs, batch_size=32, verbose=0)


def accuracy(model: eg.Model, split: Split) -> dict[str, float]:
    """Return the share of rows that were held out and are told right."""
    scores = model.predict(split.test_x)
    labels = scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0.5).astype(int)
    return {"test accuracy": float((labels == split.test_y).mean())}


def digits() -> Made:
    """Return a classifier, whose lower layers are of use for other images of signs."""
    split = Split.of(datasets.load_digits)
    hidden: list[Any] = []
    for units in (96, 64, 48):
        hidden += [layers.Dense(units, "elu", kernel_initializer="he_normal"), layers.Dropout(0.2)]
    model = eg.Sequential(
        [
            eg.Input((64,)),
            layers.Rescaling(1 / 16),
            *hidden,
            layers.Dense(10, "softmax"),
        ],
        name="digits",
        seed=SEED,
    )
    fit(model, "sparse_categorical_crossentropy", split, split.y, epochs=80, rate=2e-3)
    summary = "Tells which digit an image shows; to be reused from below"
    return Made(model, summary, DIGITS, accuracy(model, split))


def digits_autoencoder() -> Made:
    """Return a net that puts an image into 16 numbers and back."""
    split = Split.of(datasets.load_digits)
    model = eg.Sequential(
        [
            eg.Input((64,)),
            layers.Rescaling(1 / 16),
            layers.Dense(48, "elu", kernel_initializer="he_normal", name="encoder"),
            layers.Dense(16, name="code"),
            layers.Dense(48, "elu", kernel_initializer="he_normal", name="decoder"),
            layers.Dense(64, "sigmoid", name="image"),
            layers.Rescaling(16.0),
        ],
        name="digits_autoencoder",
        seed=SEED,
    )
    fit(model, "mse", split, split.x, epochs=80, rate=2e-3)
    error = model.predict(split.test_x) - split.test_x
    spread = split.test_x - split.x.mean(axis=0)
    explained = 1.0 - float((error**2).sum() / (spread**2).sum())
    summary = "Puts an image of a digit into 16 numbers, of the layer 'code', and back"
    return Made(model, summary, DIGITS, {"share of variance": explained})


def digits_rows() -> Made:
    """Return a recurrent net that reads an image row by row."""
    split = Split.of(datasets.load_digits)
    model = eg.Sequential(
        [
            eg.Input((64,)),
            layers.Rescaling(1 / 16),
            layers.Reshape((8, 8)),
            layers.LSTM(32),
            layers.Dense(10, "softmax"),
        ],
        name="digits_rows",
        seed=SEED,
    )
    fit(model, "sparse_categorical_crossentropy", split, split.y, epochs=60, rate=1e-2)
    summary = "Tells which digit an image shows: an LSTM that reads it row by row"
    return Made(model, summary, DIGITS, accuracy(model, split))


def breast_cancer() -> Made:
    """Return a self-normalizing net for a table."""
    split = Split.of(datasets.load_breast_cancer)
    scaled = layers.Normalization()
    scaled.adapt(split.x)
    hidden: list[Any] = []
    for _ in range(3):
        hidden += [
            layers.Dense(32, "selu", kernel_initializer="lecun_normal"),
            layers.AlphaDropout(0.1),
        ]
    model = eg.Sequential(
        [eg.Input((30,)), scaled, *hidden, layers.Dense(1, "sigmoid")],
        name="breast_cancer",
        seed=SEED,
    )
    fit(model, "binary_crossentropy", split, split.y, epochs=40, rate=1e-3)
    model.feature_names_in_ = [str(name) for name in datasets.load_breast_cancer().feature_names]
    summary = "Tells the probability that a tumour is benign, for teaching: a SELU net for a table"
    return Made(model, summary, CANCER, accuracy(model, split))


NETS = {
    "breast_cancer": breast_cancer,
    "digits": digits,
    "digits_autoencoder": digits_autoencoder,
    "digits_rows": digits_rows,
}


def told(name: str, made: Made) -> dict[str, Any]:
    """Return what the card of a net tells."""
    return {
        "summary": made.summary,
        "data": made.data,
        "figures": made.figures,
        "licence": LICENCE,
        "command": f"python tools/make_zoo.py {name}",
        "seed": SEED,
    }


def main() -> None:
    """Train what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETS)}")
    parser.add_argument("--check", action="store_true", help="compare with what is there")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NETS]
    if unknown:
        parser.error(f"unknown {unknown[0]!r}; there are {', '.join(NETS)}")
    differing = 0
    for name in options.names or NETS:
        there = SHIPPED / (name + SUFFIX)
        path = there.with_suffix(".made") if options.check else there
        made = NETS[name]()
        card = write_net(made.model, name, str(path), told(name, made))
        print(card)
        if options.check:
            path.unlink()
            same = card.checksum == eg.zoo.list()[name].checksum
            differing += not same
            print("  the same bits" if same else "  DIFFERS")
    if differing:
        sys.exit(f"{differing} differ; the instruction set and versions may be others")


if __name__ == "__main__":
    main()
