"""The comparison of two trees (`make compare`), and the record of a race (`make race RECORD=1`).

The race's scripts lie in `benches/race/`, which packages of the sources leave out.
"""

import doctest
import importlib
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

import evengrad as eg

RACE = Path(__file__).resolve().parents[2] / "benches" / "race"

pytestmark = pytest.mark.skipif(not RACE.is_dir(), reason="benches/race is not part of this copy")


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(RACE)
    return importlib.import_module


@pytest.fixture
def measured(load):
    results, entrants = load("results"), load("entrants")

    def make(task, workload, rate, family="evengrad", setting="fit", threads=2, **others):
        entrant = entrants.Entrant(family, setting, threads)
        return results.Measurement(task, workload, entrant, 0, rate, **others)

    return make


def test_calls_and_files_are_counted(load):
    calls = load("python_calls")
    model = eg.Sequential([eg.layers.Dense(2)])
    counts = calls.count(lambda: model.build((None, 3)))
    assert counts["calls"] > counts["files"] > 1
    assert calls.count(lambda: None) == {"calls": 0, "files": 0}


def test_a_fit_makes_few_calls(load):
    # In a process of its own, where nothing is imported yet: the first fit imports what it needs.
    script = load("python_calls").__file__
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    counts = json.loads(done.stdout)
    assert counts["first"]["calls"] <= 300
    assert counts["first"]["files"] <= 20
    assert counts["second"]["calls"] <= 150


@pytest.fixture
def comparison(load, tmp_path):
    compare = load("compare")
    arguments = compare.parse(["--base", str(tmp_path), "--now", str(tmp_path), "--quick"])
    arguments.output = tmp_path / "output"
    made = compare.Comparison(arguments)
    yield made
    made.close()


def test_the_table_says_which_targets_are_met(comparison, measured):
    comparison.counts["base"] = [
        {"first": {"calls": 800, "files": 50}, "second": {"calls": 400, "files": 40}}
    ]
    comparison.counts["now"] = [
        {"first": {"calls": 300, "files": 21}, "second": {"calls": 100, "files": 20}}
    ]
    raw = {"first_seconds": 0.25, "epoch_seconds": 0.01}
    comparison.measurements["base"] = [
        measured("fresh-fit", "small", 20.0, raw=raw),
        measured("training", "mnist", 1000.0),
        measured("training", "wide", 10.0),
    ]
    comparison.measurements["now"] = [
        measured("fresh-fit", "small", 50.0, raw=raw),
        measured("training", "mnist", 980.0),
        measured("training", "wide", 9.0, disturbed=True),
    ]
    comparison.measurements["sklearn"] = [
        measured("fresh-fit", "small", 4.0, "sklearn", threads=1),
        measured("fresh-fit", "small", 5.0, "sklearn"),
    ]
    rows = [row.cells() for row in comparison.rows()]
    assert [[*row[:4], row[5]] for row in rows] == [
        ["Python calls, first fit", "800", "300", "0.375", "met"],
        ["Python files, first fit", "50", "21", "0.420", "missed"],
        ["Python calls, second fit", "400", "100", "0.250", "met"],
        ["Python files, second fit", "40", "20", "0.500", "-"],
        ["compile + fit of a new model, small", "50.0 ms", "20.0 ms", "0.400", "met"],
        ["of it not in steps, small", "40.0 ms", "10.0 ms", "0.250", "met"],
        ["the first of a process, small", "250 ms", "250 ms", "1.000", "-"],
        ["times as fast as MLPClassifier, small", "4.00", "10.00", "2.500", "met"],
        ["training, mnist", "1 000 steps/s", "980 steps/s", "0.980", "met"],
        ["training, wide*", "10.0 steps/s", "9.00 steps/s", "0.900", "missed"],
    ]
    comparison.write()
    written = json.loads((comparison.arguments.output / "compare.json").read_text("utf-8"))
    assert [row["met"] for row in written["rows"]] == [
        *(True, False, True, None),
        *(True, True, None, True),
        *(True, False),
    ]


@pytest.fixture
def report(load, measured):
    measurements = [
        measured("training", "mnist", 3000.0),
        measured("training", "mnist", 1500.0, "jax", "scan"),
        measured("training", "mnist", 1000.0, "torch", "eager", threads=1),
        measured("training", "deep-20", None, objection="failed"),
    ]
    return load("report").Report(
        {
            "command": "make race WORKLOADS=mnist",
            "started": 0.0,
            "machine": {
                "processor": "a processor",
                "cores": [0, 1],
                "cores_of_machine": 2,
                "system": "a system",
                "python": "3.11.7",
            },
            "versions": {"evengrad": "0.1.0"},
            "seconds": 1.0,
            "rounds": 1,
            "ceilings": {},
            "measurements": [asdict(measurement) for measurement in measurements],
        }
    )


PAGE = """# Page

{begin}

| task | workload | ratio | run |
| --- | --- | --- | --- |
| training | mnist | 1.00× | old |
| one-row | mnist | 7.00× | old |

{end}

after
"""


def test_a_race_is_recorded(load, report, tmp_path):
    record = load("record")
    page = PAGE.format(begin=record.BEGIN, end=record.END)
    # Rows of other runs have all columns.
    page = record.with_table(
        page,
        {key: dict.fromkeys(record.COLUMNS, "-") | row for key, row in record.read(page).items()},
    )
    about = tmp_path / "docs" / "about"
    about.mkdir(parents=True)
    (about / "performance.md").write_text(page, "utf-8")
    (about / "performance-runs.md").write_text("# Runs\n", "utf-8")
    readme = '[1×](docs/page.md "training mnist ratio"), [a page](docs/page.md)'
    (tmp_path / "README.md").write_text(readme, "utf-8")

    record.record(report, tmp_path)

    table = record.read((about / "performance.md").read_text("utf-8"))
    assert table["one-row", "mnist"]["run"] == "old"
    row = table["training", "mnist"]
    assert row["run"] == "1970-01-01 00:00"
    assert (row["best peer"], row["ratio"]) == ("jax scan, 2 threads", "2.00×")
    assert (row["× torch"], row["× keras"]) == ("3.00×", "-")
    assert ("training", "deep-20") not in table
    runs = (about / "performance-runs.md").read_text("utf-8")
    assert "## 1970-01-01 00:00\n\n    make race WORKLOADS=mnist\n" in runs
    assert (tmp_path / "README.md").read_text("utf-8") == readme.replace("[1×]", "[2.00×]")
    assert (about / "race.png").stat().st_size > 0


@pytest.mark.parametrize("module", ["record", "constants"])
def test_examples(load, module):
    tried = doctest.testmod(load(module))
    assert (tried.failed, tried.attempted > 0) == (0, True)


def test_every_chosen_constant_is_found_and_changed(load):
    constants = load("constants")
    text = (RACE.parents[1] / constants.FILE).read_text(encoding="utf-8")
    names = constants.chosen(text)
    assert {"LAUNCH_NANOSECONDS", "BLOCK_BYTES", "TRIAL_CHUNK"} <= set(names)
    assert "SECOND_LEVEL_BYTES" not in names
    for name in names:
        lines = constants.changed(text, name, "2 / 1").splitlines()
        differing = [line for line in lines if line not in text.splitlines()]
        assert len(differing) == 1
        assert f" {name}: " in differing[0]
