"""Several ranks compute what one computes: weights, figures and predictions."""

import numpy as np
import pytest
from ranks import needs_mpi, run_ranks

pytestmark = needs_mpi

# In float64, over 200 steps, of ranks whose sums are cut in other places; and where statistics are
# taken of two rows, whose difference may be as good as nothing.
ROUNDING, OF_TWO_ROWS = 1e-12, 1e-10
# All nets in one script: starting one takes longer than training them.
NETS = """
NETS = {
    "momentum": lambda: net(),
    "adam": lambda: net(optimizer=eg.optimizers.Adam(0.01)),
    "dropout and noise": lambda: net(
        L.Dense(16, "tanh"), L.Dropout(0.3), L.GaussianNoise(0.1),
        optimizer=eg.optimizers.Adam(0.01)),
    "batch norm": lambda: net(
        L.Dense(16, use_bias=False), L.BatchNormalization(), L.Activation("tanh"),
        optimizer=eg.optimizers.Adam(0.01)),
    "batch norm as torch has it": lambda: net(
        L.Dense(16, use_bias=False), L.BatchNormalization(convention="torch"),
        L.Activation("tanh"), optimizer=eg.optimizers.Adam(0.01)),
    "penalty, clipping and accumulation": lambda: net(
        L.Dense(16, "tanh", kernel_regularizer="l2"),
        optimizer=eg.optimizers.Adam(0.01, global_clipnorm=0.1, gradient_accumulation_steps=3)),
}
told = {}
for name, build in NETS.items():
    # 82 rows in batches of 25 leave one of 7, which three ranks share unevenly; in batches of 20
    # they leave one of 2, for three ranks.
    for size in (25, 20):
        model = build()
        history = model.fit(x, y, batch_size=size, epochs=50 if size == 25 else 10, verbose=0,
                            comm=comm, validation_split=0.2, **SETTINGS)
        answers = {
            "weights": model.get_weights(),
            "figures": [np.array(column) for column in history.history.values()],
            "outputs": [model.predict(x, comm=comm), np.array(model.evaluate(x, y, comm=comm))],
        }
        for what, arrays in answers.items():
            keep(f"{name} {size} {what}", arrays)
        told[f"{name} {size}"] = [w.tobytes().hex() for w in model.get_weights()], history.history
tell(told=told)
"""


def arrays(run, name):
    with np.load(run.folder / f"{name}.npz") as kept:
        return [kept[key] for key in kept.files]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    body = "SETTINGS = {}" + NETS
    return {size: run_ranks(size, tmp_path_factory.mktemp("ranks"), body) for size in (1, 3)}


@pytest.mark.parametrize("size", [25, 20])
@pytest.mark.parametrize(
    "name",
    [
        "momentum",
        "adam",
        "dropout and noise",
        "batch norm",
        "batch norm as torch has it",
        "penalty, clipping and accumulation",
    ],
)
def test_weights_figures_and_outputs_are_those_of_one_rank(runs, name, size):
    bound = OF_TWO_ROWS if "norm" in name and size == 20 else ROUNDING
    for what in ("weights", "figures", "outputs"):
        pairs = zip(*(arrays(runs[n], f"{name} {size} {what}") for n in (1, 3)), strict=True)
        for alone, shared in pairs:
            np.testing.assert_allclose(shared, alone, rtol=0, atol=bound)


def test_replicas_have_the_same_bits_and_histories(runs):
    first, *others = (runs[3].told(rank)["told"] for rank in range(3))
    assert all(other == first for other in others)


def test_the_same_size_and_seed_give_the_same_bits(tmp_path):
    # Of one net, in the dtype in which sums in another order would show.
    body = "SETTINGS = {}" + NETS.replace("in NETS.items()", "in [*NETS.items()][2:4]")
    first, again = (run_ranks(2, tmp_path / name, body, DTYPE="float32") for name in "ab")
    assert first.told()["told"] == again.told()["told"]


def test_statistics_of_each_ranks_rows_where_that_is_asked_for(runs, tmp_path):
    body = 'SETTINGS = {"sync_batch_norm": False}' + NETS.replace(
        "in NETS.items()", "in [*NETS.items()][3:4]"
    )
    shared = run_ranks(2, tmp_path, body)
    assert shared.told(0) == shared.told(1)
    pairs = zip(*(arrays(one, "batch norm 25 weights") for one in (runs[1], shared)), strict=True)
    # It is another model, and as good a one.
    assert max(float(np.abs(alone - two).max()) for alone, two in pairs) > 1e-6
    figures = arrays(shared, "batch norm 25 figures")
    assert figures[0][-1] < figures[0][0] / 2
