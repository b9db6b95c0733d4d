"""What is public, found by looking, and what each public thing owes its users.

Nothing here lists what there is: the names come from the modules. `test_api.py` holds every item
to its types here, its documentation (`api_documentation.py`), its gradients (`api_examples.py`),
its arguments (`api_arguments.py`), its way into a file and back (`api_round_trips.py`), and the
same bits however it is run (`api_modes.py`).
"""

import ast
import functools
import importlib
import inspect
import pkgutil
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import evengrad as eg
from evengrad import _core
from evengrad._tensor.activations import offered
from evengrad.losses._functions import class_of

# Families of classes, by module and base. A class of another base in these modules is a "class".
BASES = {
    # Models are layers too.
    "models": eg.Model,
    "layers": eg.layers.Layer,
    "losses": eg.losses.Loss,
    "metrics": eg.metrics.Metric,
    "optimizers": eg.optimizers.Optimizer,
    "schedules": eg.optimizers.schedules.Schedule,
    "initializers": eg.initializers.Initializer,
    "constraints": eg.constraints.Constraint,
    "regularizers": eg.regularizers.Regularizer,
    "callbacks": eg.callbacks.Callback,
}
# Classes below these that compute nothing by themselves: what their subclasses write.
ABSTRACT = {eg.metrics.MeanMetric: "values"}
# Metrics that take values, not targets and predictions: no model has them.
OF_VALUES = (eg.metrics.Mean, eg.metrics.Sum)


@dataclass(frozen=True)
class Item:
    """A public thing under its name below ``evengrad``."""

    name: str
    thing: Any
    family: str

    def __str__(self):
        return self.name


def public_modules(package=eg):
    """Yield the package and the modules in it whose names are public, deeper ones too."""
    yield package
    for found in pkgutil.iter_modules(getattr(package, "__path__", [])):
        if not found.name.startswith("_"):
            yield from public_modules(importlib.import_module(f"{package.__name__}.{found.name}"))


def family_of(thing):
    """Return what kind of thing it is. A function is an operation, wherever it stands."""
    if inspect.isclass(thing):
        if issubclass(thing, BaseException):
            return "errors"
        for family, base in BASES.items():
            if issubclass(thing, OF_VALUES):
                return "class"
            if issubclass(thing, base):
                base_alone = (thing is base and family != "models") or thing in ABSTRACT
                return "bases" if base_alone else family
        return "class"
    if class_of(thing, eg.losses.Loss) is not None:
        return "loss function"
    named = any(thing is other for other in offered().values())
    return "activation" if named else "op"


def own_items(module, root="evengrad"):
    """Yield the public classes and functions of a module, imported helpers of others left out."""
    declared = getattr(module, "__all__", None)
    names = [name for name in vars(module) if not name.startswith("_")]
    for name in names if declared is None else declared:
        thing = getattr(module, name)
        if not callable(thing) or inspect.ismodule(thing):
            continue
        if not (getattr(thing, "__module__", None) or "").startswith(root):
            continue
        prefix = module.__name__.partition(".")[2]
        yield Item(f"{prefix}.{name}" if prefix else name, thing, family_of(thing))


def in_order(cls):
    """Return the members of a class by name: a compiled class has them in another order each time,
    and the processes of one run of tests must agree.
    """
    return sorted(vars(cls).items())


def tensor_items(tensor=eg.Tensor):
    """Yield the public methods and properties of tensors."""
    for name, member in in_order(tensor):
        if name.startswith("_"):
            continue
        kind = "tensor property" if inspect.isdatadescriptor(member) else "tensor method"
        yield Item(f"Tensor.{name}", member, kind)


def operator_items(tensor=eg.Tensor):
    """Yield the methods behind the operators on tensors."""
    for name, member in in_order(tensor):
        if name.startswith("__") and inspect.isroutine(member):
            yield Item(f"Tensor.{name}", member, "tensor operator")


@functools.cache
def items():
    """Return all that is public, each thing once, under its first name."""
    found = {}
    for module in public_modules():
        for item in own_items(module):
            found.setdefault(id(item.thing), item)
    return [*found.values(), *tensor_items()]


def parameters_of(thing):
    """Return the parameters of a function, or of a class's constructor, without `self`."""
    try:
        signature = inspect.signature(thing)
    except ValueError:
        return []
    return [p for p in signature.parameters.values() if p.name != "self"]


# ---- types


@functools.cache
def stub():
    """Return the native half's stub: functions by name, methods as ``Class.name``."""
    tree = ast.parse((Path(_core.__file__).parent / "_core.pyi").read_text(encoding="utf-8"))
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.ClassDef):
            found[node.name] = node
            for member in node.body:
                if isinstance(member, ast.FunctionDef):
                    found.setdefault(f"{node.name}.{member.name}", member)
    return found


def is_native(thing):
    """Tell whether something is compiled."""
    return not isinstance(thing, type) and not isinstance(thing, (types.FunctionType, property))


def missing_types(item):
    """Return the parameters and results that a type checker knows nothing of."""
    thing = item.thing
    if item.family == "errors":
        return []
    if is_native(thing) or thing is eg.Tensor:
        return missing_stub(item)
    found = []
    functions = {"": thing}
    if inspect.isclass(thing):
        functions = {
            f"{name}: ": member
            for name, member in vars(thing).items()
            if isinstance(member, types.FunctionType) and (name[0] != "_" or name == "__init__")
        }
    for label, function in functions.items():
        signature = inspect.signature(function)
        bare = [
            p.name
            for p in signature.parameters.values()
            if p.annotation is p.empty and p.name != "self"
        ]
        if bare:
            found.append(f"{label}no annotation for {', '.join(bare)}")
        if signature.return_annotation is signature.empty:
            found.append(f"{label}no annotation for the result")
    return found


def missing_stub(item):
    """Return how a native thing and its entry in the stub differ."""
    # A module that offers a native function imports it.
    entry = stub().get(item.name) or stub().get(getattr(item.thing, "__name__", ""))
    if entry is None:
        return ["has no entry in _core.pyi"]
    if not isinstance(entry, ast.FunctionDef):
        return []
    found = []
    arguments = [*entry.args.posonlyargs, *entry.args.args, *entry.args.kwonlyargs]
    extra = [one for one in (entry.args.vararg, entry.args.kwarg) if one is not None]
    named = [one for one in [*arguments, *extra] if one.arg != "self"]
    bare = [one.arg for one in named if one.annotation is None]
    if bare or entry.returns is None:
        found.append(f"_core.pyi has no annotation for {', '.join(bare) or 'the result'}")
    if not inspect.isdatadescriptor(item.thing):
        written = {one.arg for one in named}
        taken = {p.name for p in parameters_of(item.thing)}
        if written != taken:
            found.append(f"takes {sorted(taken)}, and in _core.pyi {sorted(written)}")
    return found
