"""What the documentation of a public thing has to say."""

import ast
import inspect
import re
import textwrap
import types

from api_contract import parameters_of

import evengrad as eg

# Needs no example: the reason.
WITHOUT_EXAMPLE = {
    "InternalError": "it is raised where the library itself is wrong",
}
# Families whose rules come from papers, which a docstring names.
FROM_PAPERS = {"optimizers"}
# Classes whose methods users call: each has an example, those of private bases too.
WITH_EXAMPLES = (eg.layers.Layer, eg.Model, eg.Sequential, eg.optimizers.Optimizer)
# What a layer's documentation says of shapes.
SHAPES = ("(rows", "(...", "any shape")
# Functions that raise where an argument is wrong.
CHECKS = re.compile(r"check_\w+|_?look_up|choose")


def sections(text, heading):
    """Yield the lines of a docstring's sections of that heading."""
    pattern = rf"^(?:{heading})\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)"
    for section in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
        yield section[1].splitlines()


def documented(text, heading):
    """Return the names in a docstring's sections of that heading."""
    lines = [line for section in sections(text, heading) for line in section]
    heads = [line.partition(" :")[0] for line in lines if line and not line[0].isspace()]
    return {name.strip().lstrip("*").partition(" ")[0] for h in heads for name in h.split(",")}


def text_of(thing):
    """Return a thing's own docstring; an empty one where it has none."""
    own = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
    return inspect.cleandoc(own or "")


def texts_of(thing):
    """Return a thing's docstring and, for a class, those of its bases, which may document more."""
    classes = thing.__mro__ if inspect.isclass(thing) else [thing]
    return [inspect.cleandoc(one.__doc__) for one in classes if one.__doc__]


def missing_documentation(item):
    """Return what an item's documentation lacks."""
    text = text_of(item.thing)
    if not text:
        return ["has no docstring"]
    found = []
    summary = text.splitlines()[0]
    if not summary.endswith("."):
        found.append(f"its summary is no sentence of one line: {summary!r}")
    example = ">>>" in text or item.name in WITHOUT_EXAMPLE or item.family == "tensor property"
    if not example:
        found.append("its docstring has no example")
    if item.family in FROM_PAPERS and not any(sections(text, "References")):
        found.append("its docstring names no source under References")
    if item.family == "layers" and not any(words in text for words in SHAPES):
        found.append("its docstring says no shape: (rows, ...), or any shape")
    if item.family == "tensor property":
        return found
    raising = vars(item.thing).get("__init__") if inspect.isclass(item.thing) else item.thing
    if raises(raising) and not any(sections(text, "Raises")):
        found.append("its docstring has no section Raises, and it raises errors")
    return [*found, *wrong_parameters(item)]


def wrong_parameters(item):
    """Return what an item's documentation leaves out of its arguments, or adds to them."""
    found = []
    known = set().union(
        *(documented(text, "Parameters|Attributes") for text in texts_of(item.thing))
    )
    parameters = parameters_of(item.thing)
    names = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    undocumented = [name for name in names if name not in known]
    if undocumented and item.family != "errors":
        found.append(f"its docstring leaves out {', '.join(undocumented)}")
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return found
    taken = {p.name for p in parameters}
    unknown = sorted(documented(text_of(item.thing), "Parameters") - taken)
    if unknown:
        found.append(f"its docstring tells of arguments that it does not take: {unknown}")
    return found


def raises(function):
    """Tell whether a Python function raises errors itself, or has its arguments checked."""
    function = inspect.unwrap(function) if callable(function) else function
    if not isinstance(function, types.FunctionType):
        return False
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except OSError:
        # Made by a class of the standard library.
        return False
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and node.exc is not None:
            # A method that subclasses write says so in its sentence.
            if "NotImplementedError" not in ast.unparse(node.exc):
                return True
        elif isinstance(node, ast.Call) and CHECKS.fullmatch(ast.unparse(node.func)):
            return True
    return False


def members_of(thing):
    """Return the public methods and properties of a class by name, where it defines them.

    Of the classes in `WITH_EXAMPLES` they are all that there are, inherited ones too.
    """
    kinds = (types.FunctionType, property, classmethod, staticmethod)
    found = {}
    for base in thing.__mro__ if thing in WITH_EXAMPLES else [thing]:
        for name, member in vars(base).items():
            if not name.startswith("_") and isinstance(member, kinds):
                found.setdefault(name, member)
    return found


def undocumented_members(item):
    """Return what the documentation of a class's methods and properties lacks."""
    if not inspect.isclass(item.thing) or item.thing is eg.Tensor:
        return []
    found = []
    for name, member in members_of(item.thing).items():
        # What overrides a method does what its base says; errors may stand in the class's section.
        bases = [base for base in item.thing.__mro__ if name in vars(base)]
        texts = [inspect.getdoc(vars(base)[name]) or "" for base in bases]
        if not any(texts):
            found.append(f"its {name} has no docstring")
            continue
        if isinstance(member, property):
            continue
        raising = raises(getattr(member, "__func__", member))
        of_class = [text_of(item.thing)] if len(bases) > 1 else []
        if raising and not any(any(sections(text, "Raises")) for text in [*texts, *of_class]):
            found.append(f"its {name} has no section Raises, and it raises errors")
        if item.thing in WITH_EXAMPLES and not any(">>>" in text for text in texts):
            found.append(f"its {name} has no example")
    return found
