"""The figures of `make race`: what counts, who is best, what the tables say.

The race's scripts lie in `benches/race/`, which packages of the sources leave out.
"""

import doctest
import importlib
from pathlib import Path

import pytest

RACE = Path(__file__).resolve().parents[2] / "benches" / "race"

pytestmark = pytest.mark.skipif(not RACE.is_dir(), reason="benches/race is not part of this copy")


@pytest.fixture
def results(monkeypatch):
    monkeypatch.syspath_prepend(RACE)
    return importlib.import_module("results")


@pytest.fixture
def entrants(monkeypatch):
    monkeypatch.syspath_prepend(RACE)
    return importlib.import_module("entrants")


@pytest.fixture
def workloads(monkeypatch):
    monkeypatch.syspath_prepend(RACE)
    return importlib.import_module("workloads")


@pytest.fixture
def measured(results):
    def make(entrant, rate, **others):
        return results.Measurement("training", "mnist", entrant, 0, rate, **others)

    return make


def test_examples(results):
    assert doctest.testmod(results).failed == 0


def test_operations_of_a_step(workloads):
    mnist = workloads.BY_NAME["mnist"]
    first, second, third = 784 * 300, 300 * 100, 100 * 10
    assert mnist.step_flops == 2 * 50 * (2 * first + 3 * second + 3 * third)
    assert mnist.batches == 32
    assert workloads.BY_NAME["huge"].batches == 4


def test_every_setting_runs_on_one_and_on_all_threads(entrants):
    field = entrants.entrants("training", ["evengrad", "torch", "onnxruntime"], 4)
    assert len(set(field)) == len(field) == 2 * (1 + 3)
    assert entrants.headline("training", 4) in field
    assert {entrant.threads for entrant in entrants.entrants("training", ["jax"], 1)} == {1}


@pytest.mark.parametrize(
    ("first", "last", "reason"),
    [
        (2.3, 1.1, ""),
        (2.3, 2.3, "the loss does not fall: 2.3, then 2.3"),
        (2.3, 2.4, "the loss does not fall: 2.3, then 2.4"),
        (2.3, float("nan"), "the loss is not finite: 2.3, then nan"),
        (float("inf"), 1.0, "the loss is not finite: inf, then 1"),
    ],
)
def test_only_learning_counts(results, first, last, reason):
    assert results.objection({"first_loss": first, "last_loss": last}) == reason


def test_only_answers_count(results):
    assert not results.objection({"finite": True, "different": True})
    assert "finite" in results.objection({"finite": False, "different": True})
    assert "same answer" in results.objection({"finite": True, "different": False})


def test_the_order_rotates(results):
    assert results.rotated("abc", 0) == ["a", "b", "c"]
    assert results.rotated("abc", 4) == ["b", "c", "a"]
    assert results.rotated([], 4) == []


def test_medians_and_the_best_of_a_library(results, entrants, measured):
    slow = entrants.Entrant("torch", "eager", 1)
    quick = entrants.Entrant("torch", "compile", 2)
    other = entrants.Entrant("jax", "scan", 2)
    broken = entrants.Entrant("keras", "xla", 1)
    known = results.figures(
        [
            *(measured(slow, rate) for rate in (9.0, 11.0, 10.0)),
            # Rounds that others disturbed count where there is no better one.
            measured(quick, 12.0, disturbed=True),
            measured(quick, 14.0),
            measured(other, 8.0, disturbed=True),
            measured(broken, None, objection="failed"),
        ]
    )
    assert known[slow] == results.Figure(10.0, 9.0, 11.0, 3, disturbed=False)
    assert known[quick] == results.Figure(14.0, 14.0, 14.0, 1, disturbed=False)
    assert known[other].disturbed
    assert results.best(known, ["torch", "jax"]) == quick
    assert results.best(known, ["keras"]) is None


def test_the_hopeless_run_once(results, entrants, measured):
    ours = entrants.Entrant("evengrad", "fit", 2)
    ours_alone = entrants.Entrant("evengrad", "fit", 1)
    torch = [entrants.Entrant("torch", "eager", threads) for threads in (1, 2, 3)]
    failed = entrants.Entrant("jax", "jit", 1)
    chosen = results.worth_repeating(
        [
            # Ours stays, however slow.
            measured(ours, 1.0),
            measured(ours_alone, 100.0),
            measured(torch[0], 10.0),
            measured(torch[1], 4.0),
            measured(torch[2], 4.0, disturbed=True),
            measured(failed, None, objection="failed"),
        ],
        ours,
    )
    assert chosen == [ours, ours_alone, torch[0], torch[2]]


def test_the_table_of_ratios(results, entrants):
    ours = entrants.Entrant("evengrad", "fit", 2)
    torch = entrants.Entrant("torch", "eager", 1)
    jax = entrants.Entrant("jax", "scan", 2)

    def figure(rate, *, disturbed=False):
        return results.Figure(rate, rate, rate, 1, disturbed)

    rows = results.summary(
        {
            "mnist": {ours: figure(3000.0), torch: figure(1000.0), jax: figure(1500.0)},
            "mnist-bn": {torch: figure(500.0)},
            "wide": {ours: figure(9.0), torch: figure(8.0, disturbed=True)},
            "huge": {},
        },
        ours,
        ["torch", "jax"],
        {"mnist": 0.6},
    )
    assert results.table(rows).splitlines() == [
        "workload   ours  best peer  its setting             ratio  of peak  × torch  × jax",
        "mnist     3 000      1 500  jax scan, 2 threads     2.00×      60%    3.00×  2.00×",
        "mnist-bn      -        500  torch eager, 1 thread       -        -        -      -",
        "wide       9.00       8.00  torch eager, 1 thread  1.12×*        -   1.12×*      -",
        "huge          -          -  -                           -        -        -      -",
    ]
