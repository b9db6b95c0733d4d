"""The package's imports: files form no cycle, and packages import what lies on floors below."""

import ast
import graphlib
import pathlib
from typing import NamedTuple

import pytest

import evengrad

# From the ground up. A package imports from floors below its own; two that share a floor know
# nothing of each other. The last floors are what users import.
FLOORS = (
    {"_core"},
    {"_common"},
    {"_tensor"},
    {"constraints", "initializers", "regularizers"},
    {"losses", "optimizers"},
    {"metrics"},
    {"layers"},
    {"distributed", "saving"},
    {"health"},
    {"callbacks"},
    {"training"},
    {"models"},
    {"pretrain", "zoo"},
    {"activations", "autograd", "functional", "sklearn", "utils"},
    {""},
)
HEIGHT = {package: height for height, floor in enumerate(FLOORS) for package in floor}
# Types may be imported from modules of this name on any floor: what a package asks of those above.
PROTOCOL = "_protocol"

ROOT = pathlib.Path(evengrad.__file__).parent


def name_of(path):
    """Return a file's name as imports have it, without the name of the whole: ``layers._dense``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


class Import(NamedTuple):
    """One import of something of this package."""

    file: str
    line: int
    target: str
    typing_only: bool

    def __str__(self):
        return f"{self.file or '__init__'}:{self.line} imports {self.target or 'evengrad'}"


def package_of(name):
    return name.split(".", maxsplit=1)[0]


def targets_of(node):
    """Yield what an import statement names, as files of this package."""
    if isinstance(node, ast.Import):
        full = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        full = [f"{node.module}.{alias.name}" for alias in node.names]
    else:
        return
    for name in full:
        top, _, rest = name.partition(".")
        if top != "evengrad":
            continue
        # The longest part that is a file; what follows is a name in it.
        while rest and rest not in FILES and rest != "_core":
            rest = rest.rpartition(".")[0]
        yield rest


def is_typing_only(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports_of(file):
    """Yield the imports of a file, those inside functions included."""
    stack = [(ast.parse(FILES[file].read_text(encoding="utf-8")), False)]
    while stack:
        node, typing_only = stack.pop()
        for target in targets_of(node):
            yield Import(file, node.lineno, target, typing_only)
        if is_typing_only(node):
            stack += [(child, True) for child in node.body]
            stack += [(child, typing_only) for child in node.orelse]
        else:
            stack += [(child, typing_only) for child in ast.iter_child_nodes(node)]


@pytest.fixture(scope="module")
def imports():
    """Return all imports of the package."""
    return [one for file in FILES for one in imports_of(file)]


def cycle(edges):
    """Return a cycle of a graph, as a list of its nodes; None where there is none."""
    try:
        graphlib.TopologicalSorter(edges).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


def test_a_cycle_is_found():
    assert cycle({"a": ["b"], "b": ["c"], "c": []}) is None
    assert set(cycle({"a": ["b", "c"], "b": ["c"], "c": ["b"]})) == {"b", "c"}


def test_imports_are_found(imports):
    found = {(one.file, one.target) for one in imports}
    assert ("layers._dense", "layers._layer") in found
    assert ("layers._dense", "_core") in found
    assert any(one.typing_only for one in imports)
    assert len(FILES) > 100


def test_every_package_has_a_floor():
    assert {package_of(file) for file in FILES} <= set(HEIGHT)


def test_no_cycle_of_files(imports):
    edges = {file: [] for file in FILES}
    for one in imports:
        if not one.typing_only and one.target in FILES and one.target != one.file:
            edges[one.file].append(one.target)
    assert cycle(edges) is None


def goes_down(one):
    here, there = package_of(one.file), package_of(one.target)
    return here == there or HEIGHT[there] < HEIGHT[here]


@pytest.mark.parametrize("typing_only", [False, True], ids=["imports", "imports of types"])
def test_imports_lead_to_the_floors_below(typing_only, imports):
    upward = [
        str(one)
        for one in imports
        if one.typing_only is typing_only
        and not goes_down(one)
        and not (typing_only and one.target.endswith(PROTOCOL))
    ]
    assert not upward
