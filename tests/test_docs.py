"""Every example in docstrings, in README.md and in docs/ runs and prints what it says.

In a page, the ``python`` blocks run in order as one program, in an empty directory. What a block
prints is compared with the ``text`` block that follows it directly, if one does; an ellipsis there
stands for anything, as in doctest. A block in the form of a transcript (``>>>``) is a doctest.
A block opened as ``python no-run`` is left out.
"""

import contextlib
import doctest
import importlib
import inspect
import io
import pkgutil
import re
from importlib.machinery import ExtensionFileLoader
from pathlib import Path

import numpy as np
import pytest

import evengrad

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

# Arrays and scalars print differently before NumPy 2; the documentation shows the new way.
pytestmark = pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="the documentation shows NumPy 2's output"
)


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    """Examples may write files."""
    monkeypatch.chdir(tmp_path)


def modules():
    """Yield the package and all modules in it; one that does not import fails the collection."""
    yield evengrad
    for found in pkgutil.walk_packages(evengrad.__path__, "evengrad."):
        yield importlib.import_module(found.name)


def documented(name, thing, module, seen):
    """Yield (name, docstring) of a module's own object and of all that it contains."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    text = getattr(thing, "__doc__", None)
    if isinstance(text, str):
        yield name, text
    if not (inspect.ismodule(thing) or inspect.isclass(thing)):
        return
    # A compiled module imports nothing, and its classes may say any module as theirs.
    compiled = isinstance(module.__spec__.loader, ExtensionFileLoader)
    imports_others = inspect.ismodule(thing) and not compiled
    for attribute, value in vars(thing).items():
        member = inspect.unwrap(getattr(value, "__func__", value))
        if not (callable(member) or inspect.isdatadescriptor(member)):
            continue
        # What a module merely imports is documented where it is defined.
        if imports_others and getattr(member, "__module__", None) != module.__name__:
            continue
        yield from documented(f"{name}.{attribute}", member, module, seen)


def docstring_examples():
    """Return (name, docstring) of each docstring that shows a transcript."""
    seen = set()
    return [
        (name, text)
        for module in modules()
        for name, text in documented(module.__name__, module, module, seen)
        if ">>>" in text
    ]


def check_transcript(text, names, label, line=0):
    """Run a doctest and fail with its report."""
    transcript = doctest.DocTestParser().get_doctest(text, names, label, label, line)
    report = io.StringIO()
    outcome = doctest.DocTestRunner(optionflags=FLAGS).run(
        transcript, out=report.write, clear_globs=False
    )
    # doctest works on a copy of the names; what the transcript defined is for the blocks after it.
    names.update(transcript.globs)
    assert outcome.failed == 0, report.getvalue()


@pytest.mark.parametrize(
    ("name", "text"), [pytest.param(*example, id=example[0]) for example in docstring_examples()]
)
def test_docstring(name, text):
    check_transcript(inspect.cleandoc(text), {"eg": evengrad, "np": np}, name)


BLOCK = re.compile(
    r"^```python *(?P<option>no-run)?\n(?P<code>.*?)^```\n(?:\n*```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page):
    source = page.read_text(encoding="utf-8")
    names = {"__name__": "__main__"}
    for block in BLOCK.finditer(source):
        if block["option"]:
            continue
        line = source.count("\n", 0, block.start("code"))
        label = f"{page.relative_to(ROOT)}:{line + 1}"
        if ">>>" in block["code"]:
            check_transcript(block["code"], names, label, line)
            continue
        printed = io.StringIO()
        # Blank lines put the block where it stands in the page, for tracebacks.
        program = compile("\n" * line + block["code"], str(page), "exec")
        with contextlib.redirect_stdout(printed):
            exec(program, names)  # noqa: S102 - the page is ours, and running it is the test
        if block["output"] is not None:
            checker = doctest.OutputChecker()
            assert checker.check_output(block["output"], printed.getvalue(), FLAGS), (
                f"{label} printed:\n{printed.getvalue()}\nthe page says:\n{block['output']}"
            )


def test_blocks_are_found():
    page = "```python\nprint(1)\n```\n\n```text\n1\n```\n```python no-run\nx\n```\n```sh\nls\n```\n"
    found = [(block["option"], block["code"], block["output"]) for block in BLOCK.finditer(page)]
    assert found == [(None, "print(1)\n", "1\n"), ("no-run", "x\n", None)]


def test_docstrings_are_found():
    assert "evengrad" in dict(docstring_examples())
