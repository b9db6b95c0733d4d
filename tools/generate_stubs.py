"""Write what follows from the core's table of elementwise functions: modules, and editors' types.

    python tools/generate_stubs.py [--check]

Run it with a Python that has evengrad built from these sources. A row says in which form its
function is offered; from that follow two modules, which only import, and parts of `_core.pyi`.
With ``--check`` nothing is written, and the exit status is 1 where something would change.
"""

from __future__ import annotations

import argparse
import importlib.machinery
import importlib.util
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STUB = "python/evengrad/_core.pyi"
MODULES = {
    "python/evengrad/_tensor/elementwise.py": ("Elementwise functions.", ("function",)),
    "python/evengrad/_tensor/nonlinear.py": (
        "Activations that are elementwise functions.",
        ("activation", "wrapped_activation"),
    ),
}
SOURCE = (
    "Written by ``make stubs`` from the table in rust/core/src/ops/elementwise.rs: do not edit."
)
# Functions with words of other libraries: where Python has them; the stub has the methods by hand.
IN_PYTHON = {"clamp": "evengrad._tensor.arithmetic"}
# Activations that take more in Python than in the core, each from a module of its name.
EXTENDED = ("relu",)
# Above a part of `_core.pyi` that is written here, and below it.
FIRST = "# The {}, written by `make stubs` from the core's table: do not edit."
LAST = "# End of the {}."


@dataclass(frozen=True)
class Row:
    """A function of the table: its name, where it is offered, its parameters as a stub has them."""

    name: str
    form: str
    parameters: tuple[str, ...] = ()


def native_module() -> Any:
    """Return the extension module by itself: the package around it may be from before a change."""
    package = importlib.util.find_spec("evengrad")
    if package is None or package.submodule_search_locations is None:
        sys.exit("evengrad is not installed: build it from these sources first")
    finder = importlib.machinery.FileFinder(
        package.submodule_search_locations[0],
        (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
    )
    spec = finder.find_spec("_core")
    if spec is None or spec.loader is None:
        sys.exit("evengrad has no extension module: build it from these sources first")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def table(core: Any) -> list[Row]:
    """Return the rows that Python sees, by name."""
    rows = []
    for name, form in sorted(core.elementwise_forms().items()):
        # Methods may be others once the package is imported: functions stay what they are.
        owner = core if hasattr(core, name) else core.Tensor
        signature = inspect.signature(getattr(owner, name))
        parameters = tuple(
            f"{p.name}: float" + ("" if p.default is p.empty else f" = {p.default!r}")
            for p in list(signature.parameters.values())[1:]
        )
        rows.append(Row(name, form, parameters))
    return rows


def module_of(sentence: str, rows: list[Row]) -> str:
    """Return a module that offers the functions of these rows."""
    wrapped = [row.name for row in rows if row.form == "wrapped_activation" or row.name in EXTENDED]
    names = [row.name for row in rows if row.name not in wrapped]
    native = [name for name in names if name not in IN_PYTHON]
    return "\n".join(
        [
            f'"""{sentence}',
            "",
            SOURCE,
            '"""',
            "",
            "from evengrad._core import (",
            *(f"    {name}," for name in native),
            ")",
            *(f"from {IN_PYTHON[name]} import {name}" for name in names if name in IN_PYTHON),
            *(f"from evengrad._tensor.{name} import {name}" for name in wrapped),
            "",
            "__all__ = [",
            *(f'    "{row.name}",' for row in rows),
            "]",
            "",
        ]
    )


def with_part(stub: str, what: str, lines: list[str]) -> str:
    """Return the stub with a part of it replaced."""
    first, last = FIRST.format(what), LAST.format(what)
    before, begin, rest = stub.partition(first)
    _, end, after = rest.partition(last)
    if not (begin and end):
        raise ValueError(f"{STUB}: expected the lines {first!r} and {last!r}")
    indent = before[before.rindex("\n") + 1 :]
    body = "".join(f"{indent}{line}\n" for line in lines)
    # As the formatter has it: below functions a comment stands apart.
    gap = "" if indent else "\n"
    return f"{before}{first}\n{body}{gap}{indent}{last}{after}"


def generated(rows: list[Row], root: Path = ROOT) -> dict[Path, str]:
    """Return what each file should hold that follows from the table."""
    found = {
        root / path: module_of(sentence, [row for row in rows if row.form in forms])
        for path, (sentence, forms) in MODULES.items()
    }
    native = [row for row in rows if row.name not in IN_PYTHON]
    # Tensors have a method `float`, so that the type has another name among them.
    methods = [
        f"def {r.name}({', '.join(('self', *r.parameters))}) -> Tensor: ...".replace(
            ": float", ": _Float"
        )
        for r in native
    ]
    functions = [
        f"def {r.name}({', '.join(('x: _TensorLike', *r.parameters))}) -> Tensor: ..."
        for r in rows
        if r.form in ("function", "activation")
    ]
    stub = (root / STUB).read_text(encoding="utf-8")
    stub = with_part(stub, "elementwise methods", methods)
    found[root / STUB] = with_part(stub, "elementwise functions", functions)
    return found


def main() -> int:
    """Write the files, or say which would change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    changed = [
        (path, text)
        for path, text in generated(table(native_module())).items()
        if path.read_text(encoding="utf-8") != text
    ]
    for path, text in changed:
        print(path.relative_to(ROOT), "would change" if check else "written")
        if not check:
            path.write_text(text, encoding="utf-8")
    return int(check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
