"""The notebooks beside the examples: each runs from top to bottom, and is kept without outputs.

Here as a program; the site's build runs them as notebooks.
"""

import json
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
if not FOLDER.is_dir():
    pytest.skip("a packaged copy of the sources has no notebooks", allow_module_level=True)


@pytest.fixture(autouse=True)
def no_screen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with mpl.rc_context():
        plt.switch_backend("Agg")
        yield
        plt.close("all")


def code(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_runs_from_top_to_bottom(notebook, capsys):
    names = {"__name__": "__main__"}
    for number, cell in enumerate(code(notebook), 1):
        program = compile("".join(cell["source"]), f"{notebook.name}, cell {number}", "exec")
        exec(program, names)  # noqa: S102 - the notebook is ours, and running it is the test
    assert capsys.readouterr().out


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_is_kept_without_outputs(notebook):
    assert [cell["outputs"] for cell in code(notebook)] == [[]] * len(code(notebook))
    assert {cell["execution_count"] for cell in code(notebook)} == {None}


def test_notebooks_are_found():
    assert [notebook.stem for notebook in NOTEBOOKS] == ["images", "sequences", "tables"]
