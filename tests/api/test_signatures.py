"""What signatures say, and what classes and errors are called in messages."""

import ast
import collections
import inspect
import re
from pathlib import Path

import api_contract as contract

import evengrad as eg
from evengrad import layers
from evengrad._common.config import Configured

# Arguments and results that are `Any`, by name, and why: of those that three or more have.
ANY = {
    **dict.fromkeys(
        ["x", "y", "X", "y_true", "y_pred", "sample_weight", "validation_data", "data", "inputs"],
        "data of users: arrays, tensors, tables, or lists and dicts of them",
    ),
    **dict.fromkeys(
        ["input_shape", "mask", "previous_mask", "input_features"],
        "one of them, or a list or dict of as many as a layer has inputs",
    ),
    **dict.fromkeys(
        [
            *("activation", "optimizer", "loss", "metrics", "weighted_metrics", "layers", "norm"),
            *("callbacks", "class_weight", "schedule", "solver", "model", "categorical", "axis"),
            *("activity_regularizer", "recurrent_activation", "hidden_layer_sizes"),
            *("random_state", "initializer", "regularizer", "constraint", "kernel_initializer"),
            "kernel_regularizer",
        ],
        "a name, a configuration, an object, a function, or a list or dict of these",
    ),
    **dict.fromkeys(
        ["settings", "named", "arguments", "args", "kwargs"], "handed on to what is named there"
    ),
    **dict.fromkeys(["config", "value"], "what JSON holds"),
    **dict.fromkeys(["verbose", "dtype", "ax"], "types of libraries that need not be there"),
    "return": "one result or several, as many as outputs; objects of optional libraries",
}


def annotated_any():
    """Return how many public functions and methods have `Any` itself, by the argument's name."""
    found = collections.Counter()
    for item in contract.items():
        functions = [item.thing]
        if inspect.isclass(item.thing):
            functions = [
                getattr(member, "__func__", member)
                for name, member in vars(item.thing).items()
                if not name.startswith("_") or name == "__init__"
            ]
        for function in functions:
            if inspect.isfunction(function):
                found.update(
                    name for name, kind in function.__annotations__.items() if str(kind) == "Any"
                )
    return found


def test_any_stands_where_no_type_says_more():
    found = annotated_any()
    unexplained = {name: count for name, count in found.items() if count > 2 and name not in ANY}
    assert unexplained == {}, "give them a type, or add the reason to ANY"
    # There were 440; a number that grows says that types were left out.
    assert sum(found.values()) <= 470
    assert [name for name in ANY if not found[name]] == []


def test_classes_and_errors_are_called_by_where_users_find_them():
    for item in contract.items():
        if inspect.isclass(item.thing) and (
            issubclass(item.thing, (BaseException, Configured)) and item.name != "InternalError"
        ):
            shown = repr(item.thing)
            assert "._" not in shown, shown
    assert repr(layers.Dense) == "<class 'evengrad.layers.Dense'>"
    assert repr(eg.FileFormatError) == "<class 'evengrad.FileFormatError'>"


def test_messages_name_nothing_private():
    private = re.compile(r"evengrad(\.\w+)*\._|\b[a-z]\w*\._[A-Z]")
    found = []
    for path in sorted(Path(eg.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and node.exc is not None:
                text = " ".join(
                    one.value
                    for one in ast.walk(node.exc)
                    if isinstance(one, ast.Constant) and isinstance(one.value, str)
                )
                if private.search(text):
                    found.append(f"{path.name}:{node.lineno}")
    assert found == []
