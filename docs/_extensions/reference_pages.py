"""Write the reference: a page for each public module, and for each thing that is at home there.

They are made anew in each build, so that nobody keeps a second list of names. `index.md`, which
brings the modules into an order, is written by hand; a test compares it with what is there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from public_names import Name, homes, names_of, public_bases, public_modules

if TYPE_CHECKING:
    from sphinx.application import Sphinx

KINDS = {"class": "Classes", "function": "Functions", "exception": "Exceptions", "data": "Data"}


def pages() -> dict[str, str]:
    """Return the text of each page, by the page's name."""
    made = {module: module_page(module) for module in public_modules() if names_of(module)}
    own = {str(home): object_page(home) for name, home in homes().items() if name == home}
    return made | own


def heading(text: str, line: str = "=") -> str:
    """Return a heading in reStructuredText."""
    return f"{text}\n{line * len(text)}\n"


def module_page(module: str) -> str:
    """Return a module's page: its docstring, tables of what is at home here, and other names."""
    parts = [heading(module), f".. automodule:: {module}\n   :no-members:\n"]
    names = {name: homes()[name] for name in names_of(module)}
    for kind, title in KINDS.items():
        own = [name for name, home in names.items() if name == home and name.kind == kind]
        if own:
            table = "\n".join(f"   {name.name}" for name in own)
            pages = "\n".join(f"   {name}" for name in own)
            parts.append(heading(title, "-"))
            parts.append(f".. autosummary::\n   :nosignatures:\n\n{table}\n")
            parts.append(f".. toctree::\n   :hidden:\n\n{pages}\n")
    others = [(name, home) for name, home in names.items() if name != home]
    if others:
        parts.append(heading("Other names", "-"))
        parts.append("Documented where they are at home.\n")
        parts += [f".. py:data:: {name.name}\n\n   `{home}`\n" for name, home in others]
    return "\n".join(parts)


def object_page(name: Name) -> str:
    """Return the page of one class, function or value."""
    options = ""
    if isinstance(name.thing, type):
        # What private bases define belongs to this page; what public ones define has its own.
        bases = [base.name for base in public_bases(name.thing)]
        stops = bases + [base.__name__ for base in name.thing.__mro__ if not ours(base)]
        options = f"   :members:\n   :inherited-members: {', '.join(stops)}\n"
        options += "   :show-inheritance:\n" if bases or name.kind == "exception" else ""
    return "\n".join(
        [
            heading(name.name),
            f".. currentmodule:: {name.module}\n",
            f".. auto{name.kind}:: {name.name}\n{options}",
            f".. minigallery:: {name}\n   :add-heading: Examples that use it\n",
        ]
    )


def ours(thing: type) -> bool:
    """Tell whether a class is defined in this package."""
    return thing.__module__.partition(".")[0] in ("evengrad", "_core")


def write(app: Sphinx) -> None:
    """Write the pages that differ from what is there, so that others are not built again."""
    folder = Path(app.srcdir) / "reference"
    wanted = {folder / f"{name}.rst": text for name, text in pages().items()}
    for path in folder.glob("*.rst"):
        if path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def show_public_bases(
    _app: Sphinx, _name: str, thing: type, _options: Any, bases: list[Any]
) -> None:
    """Show the nearest bases that have a page; of errors those that Python has."""
    bases[:] = [f"`{base}`" for base in public_bases(thing)] or bases


def skip_foreign(
    _app: Sphinx, _what: str, _name: str, thing: Any, _skip: bool, _options: Any
) -> bool | None:
    """Leave out what other packages put into classes, as scikit-learn does with requests."""
    module = getattr(thing, "__module__", None) or "evengrad"
    return True if callable(thing) and not module.startswith("evengrad") else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Enter the generator before autosummary reads the sources."""
    app.connect("builder-inited", write, priority=100)
    app.connect("autodoc-process-bases", show_public_bases)
    app.connect("autodoc-skip-member", skip_foreign)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
