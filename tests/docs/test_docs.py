"""Documentation: every example runs and prints what it says, links lead somewhere, figures agree.

In a page, the ``python`` blocks run in order as one program, in an empty directory. What a block
prints is compared with the ``text`` block that follows it directly, if one does; an ellipsis there
stands for anything, as in doctest. A block in the form of a transcript (``>>>``) is a doctest.
A block opened as ``python no-run`` is left out; one opened as ``python needs package`` runs where
that package is installed, which the tests' requirements lack.
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

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Pages whose links are followed, beside those whose code runs.
DOCS = (ROOT / "docs").is_dir()  # a packaged copy of the sources has none
TEXTS = sorted({*PAGES, *ROOT.glob("*.md")}) if DOCS else []
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

# Arrays and scalars print differently before NumPy 2; the documentation shows the new way.
pytestmark = pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="the documentation shows NumPy 2's output"
)


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    """Examples may write files, and put nets into the zoo."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENGRAD_ZOO", str(tmp_path / "zoo"))


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
    # By name: a compiled class has its members in another order each time, and the processes of one
    # run of tests must agree.
    for attribute, value in sorted(vars(thing).items()):
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
    r"^```python *(?P<option>no-run|needs \w+)?\n(?P<code>.*?)^```\n"
    r"(?:\n*```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


# Numbers with digits behind the point, or exponents: measured ones, while whole numbers are counts.
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+(?:e[-+]?\d+)?|e[-+]?\d+)|\d+(?=%)")
# Other instruction sets round otherwise, and training carries that into the third digit.
ROUNDING = {"rel": 0.1, "abs": 0.02}


def prints_the_same(expected, printed):
    """Tell whether a text is what a page says, its measured numbers as far as rounding leaves."""
    checker = doctest.OutputChecker()
    if checker.check_output(expected, printed, FLAGS):
        return True
    shown = [NUMBER.sub("#", text).split() for text in (expected, printed)]
    ours, theirs = ([float(one) for one in NUMBER.findall(text)] for text in (expected, printed))
    return shown[0] == shown[1] and ours == pytest.approx(theirs, **ROUNDING)


def test_printed_numbers_may_differ_by_rounding_alone():
    assert prints_the_same("speed 718 8.12e-03 12%\n", "speed  718 8.13e-03 13%\n")
    assert not prints_the_same("speed 718 8.12e-03\n", "speed 719 8.12e-03\n")
    assert not prints_the_same("speed 0.812\n", "speed 0.912\n")
    assert not prints_the_same("speed 0.812\n", "rate 0.812\n")


def run_page(page, option=None):
    """Run a page's blocks without an option, and those with this one."""
    source = page.read_text(encoding="utf-8")
    names = {"__name__": "__main__"}
    for block in BLOCK.finditer(source):
        if block["option"] not in (None, option):
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
            assert prints_the_same(block["output"], printed.getvalue()), (
                f"{label} printed:\n{printed.getvalue()}\nthe page says:\n{block['output']}"
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page):
    run_page(page)


NEEDS = [
    pytest.param(page, option, id=f"{page.relative_to(ROOT)}, {option}")
    for page in PAGES
    for option in sorted(
        {block["option"] for block in BLOCK.finditer(page.read_text(encoding="utf-8"))} - {None}
    )
    if option.startswith("needs")
]


# What others warn of in their own code is theirs.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("page", "option"), NEEDS)
def test_blocks_that_need_another_package(page, option):
    package = option.removeprefix("needs ")
    pytest.importorskip(package, reason=f"{package} is large; its recipe is tried where it is")
    run_page(page, option)


def test_blocks_are_found():
    page = "```python\nprint(1)\n```\n\n```text\n1\n```\n```python no-run\nx\n```\n```sh\nls\n```\n"
    page += "```python needs json\ny\n```\n"
    found = [(block["option"], block["code"], block["output"]) for block in BLOCK.finditer(page)]
    assert found == [
        (None, "print(1)\n", "1\n"),
        ("no-run", "x\n", None),
        ("needs json", "y\n", None),
    ]


# What docs/figures/ draws is made with the site and not kept beside the pages.
FIGURES = ROOT / "docs" / "figures"
DRAWN = {
    f"{script.stem}-{name}".replace("_", "-")
    for script in FIGURES.glob("*.py")
    for name in re.findall(
        r"^@picture\ndef (\w+)\(", script.read_text(encoding="utf-8"), re.MULTILINE
    )
}
PICTURE = re.compile(r"\]\(pictures/([\w-]+)\.svg\)")


def test_each_drawn_picture_is_shown_on_its_page():
    shown = {
        name
        for page in PAGES
        for name in PICTURE.findall(page.read_text(encoding="utf-8"))
        if name.startswith(page.stem)
    }
    assert shown == DRAWN


LINK = re.compile(r"\]\((?P<target>[^()\s#]+)?(?:#(?P<anchor>[^()\s]+))?(?:\s+\"[^\"]*\")?\)")


def anchors(page):
    """Return the names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_made_by_the_site(target):
    """Tell whether a page or a picture is there once the site is built."""
    pages = {"index", *(example.stem for example in (ROOT / "examples").glob("*.py"))}
    made = {"pictures": DRAWN, "gallery": pages}
    return target.stem in made.get(target.parent.name, ())


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in LINK.finditer(page.read_text(encoding="utf-8")):
        if "://" in (link["target"] or ""):
            continue
        target = page.parent / link["target"] if link["target"] else page
        if is_made_by_the_site(target):
            continue
        assert target.exists(), link[0]
        if link["anchor"]:
            assert link["anchor"] in anchors(target), link[0]


RECORD = ROOT / "benches" / "race" / "record.py"


@pytest.fixture
def record(monkeypatch):
    if not RECORD.exists():
        pytest.skip("benches/race is not part of this copy")
    monkeypatch.syspath_prepend(RECORD.parent)
    return importlib.import_module("record")


def test_figures_are_those_of_the_recorded_table(record):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = record.read((ROOT / "docs" / "about" / "performance.md").read_text(encoding="utf-8"))
    assert record.with_figures(readme, table) == readme
    # No other figure of speed stands in README.md.
    told = re.findall(r"[\d.]+×", readme)
    assert len(told) >= 3
    assert told == [figure["text"] for figure in record.FIGURE.finditer(readme)]


def test_each_row_of_the_recorded_table_names_its_run(record):
    table = record.read((ROOT / "docs" / "about" / "performance.md").read_text(encoding="utf-8"))
    runs = (ROOT / "docs" / "about" / "performance-runs.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^## (.*)$", runs, re.MULTILINE))
    assert {row["run"] for row in table.values()} <= headings


def test_docstrings_are_found():
    assert "evengrad" in dict(docstring_examples())
