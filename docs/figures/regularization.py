"""Pictures of docs/guide/regularization.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from picture import OKABE_ITO, digits, panels, picture

import evengrad as eg
from evengrad import callbacks, layers, optimizers, regularizers

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def fitted(x: Any, y: Any, dropout: float = 0.0, stop: Any = None, **settings: Any) -> Any:
    """Return a net that was trained on few points."""
    hidden: list[Any] = []
    for _ in range(3):
        hidden.append(layers.Dense(64, "elu", kernel_initializer="he_normal", **settings))
        if dropout:
            hidden.append(layers.Dropout(dropout))
    model = eg.Sequential([eg.Input((1,)), *hidden, layers.Dense(1)], seed=2)
    model.compile(optimizers.Adam(0.005), "mse")
    given = {} if stop is None else {"callbacks": [stop], "validation_split": 0.3}
    model.fit(x, y, epochs=1500, batch_size=30, verbose=0, **given)
    return model


@picture
def fits() -> Figure:
    """Draw fits of noisy points."""
    rng = np.random.default_rng(4)
    x = rng.permutation(np.linspace(-1, 1, 30))[:, None]
    y = np.sin(4 * x) + 0.35 * rng.normal(size=x.shape)
    line = np.linspace(-1.1, 1.1, 200)[:, None]
    stop = callbacks.EarlyStopping(patience=100, restore_best_weights=True)
    nets = {
        "nothing": fitted(x, y),
        "ℓ2, 0.003": fitted(x, y, kernel_regularizer=regularizers.L2(0.003)),
        "early stopping": fitted(x, y, stop=stop),
        "dropout, 0.2": fitted(x, y, dropout=0.2),
    }
    figure, axes = panels(2, 2, 3.6, sharex=True, sharey=True)
    for panel, (title, model) in zip(axes.flat, nets.items(), strict=True):
        panel.plot(line, np.sin(4 * line), color="#8a939d", linewidth=1, linestyle="--")
        panel.plot(x, y, ".", color=OKABE_ITO["black"], markersize=4)
        if "dropout" in title:
            mean, deviation = model.predict_mc(line, samples=100)
            low, high = (mean - 2 * deviation).ravel(), (mean + 2 * deviation).ravel()
            panel.fill_between(line.ravel(), low, high, color=OKABE_ITO["sky blue"], alpha=0.3)
        panel.plot(line, model.predict(line, verbose=0), color=OKABE_ITO["vermillion"])
        panel.set(title=title, ylim=(-2, 2))
    return figure


def diabetes() -> tuple[Any, Any]:
    """Return the diabetes table, standardized."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    return (x - x.mean(axis=0)) / x.std(axis=0), ((y - y.mean()) / y.std())[:, None]


def large_net(dropout: float = 0.0, **settings: Any) -> Any:
    """Return a net that is too large for the table."""
    hidden: list[Any] = []
    for _ in range(2):
        hidden.append(layers.Dense(100, "relu", kernel_initializer="he_normal", **settings))
        if dropout:
            hidden.append(layers.Dropout(dropout))
    model = eg.Sequential([eg.Input((10,)), *hidden, layers.Dense(1)], seed=1)
    model.compile(optimizers.Adam(0.002), "mse", ["mse"])
    return model


@picture
def curves() -> Figure:
    """Draw training and validation losses over a training, and where it is best."""
    x, y = diabetes()
    unseen = (x[300:], y[300:])
    figure, axes = panels(1, 3, 2.3, sharey=True)
    nets = {
        "nothing": large_net(),
        "ℓ2, 0.03": large_net(kernel_regularizer=regularizers.L2(0.03)),
        "dropout, 0.5": large_net(dropout=0.5),
    }
    for panel, (title, model) in zip(axes, nets.items(), strict=True):
        history = model.fit(x[:300], y[:300], epochs=60, validation_data=unseen, verbose=0).history
        panel.plot(history["mse"], label="training")
        panel.plot(history["val_mse"], label="validation")
        best = int(np.argmin(history["val_mse"]))
        panel.plot(best, history["val_mse"][best], "k*", markersize=8, label="best epoch")
        panel.set(title=title, xlabel="epoch", ylim=(0, 1.2))
    axes[0].set_ylabel("squared error")
    axes[0].legend()
    return figure


@picture
def weights() -> Figure:
    """Draw what penalties make of the weights of a layer."""
    x, y = diabetes()
    figure, axes = panels(1, 3, 2.2, sharey=True)
    nets = {
        "nothing": large_net(),
        "ℓ1, 0.003": large_net(kernel_regularizer=regularizers.L1(0.003)),
        "ℓ2, 0.03": large_net(kernel_regularizer=regularizers.L2(0.03)),
    }
    for panel, (title, model) in zip(axes, nets.items(), strict=True):
        model.fit(x[:300], y[:300], epochs=60, verbose=0)
        kernel = model.layers[0].kernel.numpy().ravel()
        share = np.full(kernel.size, 1 / kernel.size)
        panel.hist(kernel, np.linspace(-1.2, 1.2, 60), weights=share)
        panel.set(title=title, xlabel="weight", yscale="log")
    axes[0].set_ylabel("share")
    return figure


@picture
def doubt() -> Figure:
    """Draw how sure a net is of its guesses, by passes with dropout on."""
    x, y = digits()
    hidden = [each for _ in range(2) for each in (layers.Dense(100, "relu"), layers.Dropout(0.2))]
    model = eg.Sequential([eg.Input((64,)), *hidden, layers.Dense(10, "softmax")], seed=1)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x[:1200], y[:1200], epochs=15, verbose=0)
    mean, deviation = model.predict_mc(x[1200:], samples=50)
    guess = mean.argmax(axis=1)
    found = deviation[np.arange(len(guess)), guess]
    figure, axis = panels(height=2.3)
    edges = np.linspace(0, found.max(), 24)
    for right, color in ((True, "blue"), (False, "vermillion")):
        part = found[(guess == y[1200:]) == right]
        shares = np.full(part.size, 1 / part.size)
        label = f"{'right' if right else 'wrong'} guesses, {part.size}"
        axis.hist(part, edges, weights=shares, color=OKABE_ITO[color], alpha=0.6, label=label)
    axis.set(
        xlabel="deviation of the guess's probability over 50 passes", ylabel="share of guesses"
    )
    axis.legend()
    return figure
