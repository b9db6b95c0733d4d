"""Into a file, a description or a pickle, and back: the same bits, for every public thing."""

import inspect
import pickle

import numpy as np
from api_arguments import check_arguments, is_configured, listed, variants
from api_examples import (
    INPUT_GUESSES,
    ONE_HOT,
    SHARES,
    ContractError,
    drawn,
    failure,
    first_that_works,
    inputs_of,
    made,
    predictions_for,
    targets_of,
)

import evengrad as eg
from evengrad import layers
from evengrad._tensor.activations import offered

X = INPUT_GUESSES[0][0].astype("float32")
BINARY = np.array([[1.0], [0.0], [1.0], [1.0]])
# Metrics take labels of several forms: numbers of outputs, and targets.
METRIC_GUESSES = [(3, SHARES), (3, ONE_HOT), (3, np.array([2, 0, 1, 1])), (1, BINARY)]

# Families that are in no file: the reason.
NOT_IN_FILES = {
    "bases": "what is made of their subclasses is",
    "callbacks": "given to each `fit`; checked by their arguments",
    "class": "checked by pickle",
    "errors": "raised, not kept",
    "loss function": "checked by pickle, by name; in a file it stands for its class",
    "op": "checked by pickle, by name",
    "tensor method": "checked by pickle, by name",
    "tensor operator": "part of the language",
    "tensor property": "part of a tensor",
}


def square(y_true, y_pred):
    """Serve as a loss that asks nothing of the targets."""
    del y_true
    return y_pred * y_pred


def network(outputs=3, activation=None, dtype="float32", **settings):
    """Return a small built model."""
    chain = [eg.Input((3,), dtype), layers.Dense(outputs, activation, **settings)]
    return eg.Sequential(chain, seed=7, dtype=dtype)


def reloaded(model, folder):
    """Return a model out of its file."""
    model.save(folder / "net.safetensors")
    return eg.load_model(folder / "net.safetensors", custom_objects={"square": square})


def assert_goes_on(model, again, x, y):
    """Train two models and find the same bits before and after."""
    for _ in range(2):
        for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b, strict=True)
        for one in (model, again):
            if one.trainable_weights:
                one.fit(x, y, batch_size=2, epochs=2, shuffle=True, verbose=0)
    outputs = [one.predict(x) for one in (model, again)]
    several = isinstance(outputs[0], list)
    for a, b in zip(*(outputs if several else [[o] for o in outputs]), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def check_round_trip(item, folder):
    """Check that an item comes back from where it can be kept."""
    check = {
        "activation": activation_in_a_file,
        "constraints": lambda item, folder: setting_in_a_file(item, folder, "kernel_constraint"),
        "initializers": initializer_in_a_file,
        "layers": layer_in_a_file,
        "losses": loss_in_a_file,
        "metrics": metric_in_a_file,
        "models": model_in_a_file,
        "optimizers": optimizer_in_a_file,
        "regularizers": lambda item, folder: setting_in_a_file(item, folder, "kernel_regularizer"),
        "schedules": schedule_in_a_file,
    }.get(item.family)
    if check is not None:
        check(item, folder)
    elif item.family not in NOT_IN_FILES:
        raise ContractError(
            f"{item}: no round trip for its family in tests/helpers/api_round_trips.py"
        )
    if not item.family.startswith("tensor"):
        found = pickle.loads(pickle.dumps(item.thing))  # noqa: S301 - made here
        assert found is item.thing, f"{item}: pickle finds another thing under its name"
    if item.family not in ("bases", "models") and is_configured(item.thing):
        check_arguments(item)


def trained_in_a_file(model, folder, optimizer="adam"):
    """Save in the middle of a training."""
    model.compile(optimizer, square)
    y = np.zeros(len(X))
    model.fit(X, y, batch_size=2, verbose=0)
    again = reloaded(model, folder)
    assert repr(again.optimizer) == repr(model.optimizer)
    # Two batches, whose gradients may be gathered for one update, or for one that is to come.
    gathered = model.optimizer.gradient_accumulation_steps or 1
    assert again.optimizer.iterations == model.optimizer.iterations == 2 // gathered
    assert_goes_on(model, again, X, y)
    return again


def model_in_a_file(item, folder):
    trained_in_a_file(made(item), folder)
    settings = {"name": "other_name", "seed": 5}
    model = made(item, **settings)
    again = trained_in_a_file(model, folder)
    assert again.name == "other_name"
    assert again._seed() == model._seed() == 5


def optimizer_in_a_file(item, folder):
    """Save in the middle of a training, with each option, and those that make state together."""
    for optimizer in [made(item), *optimizers_of(item)]:
        lost = failure(lambda one: trained_in_a_file(network(), folder, one), optimizer)
        if lost is not None:
            raise ContractError(f"{item}: {optimizer!r} does not go on from its file: {lost}")


def optimizers_of(item):
    """Yield an optimizer with each option; then each with momentum, under each convention."""
    taken = inspect.signature(item.thing).parameters
    conventions = listed(item, "convention") if "convention" in taken else []
    momentum = {"momentum": 0.5} if "momentum" in taken else {}
    for changes, optimizer in variants(item):
        yield optimizer
        for convention in conventions:
            together = {"learning_rate": 0.05, **momentum, "convention": convention, **changes}
            try:
                yield made(item, **together)
            except ValueError as error:
                # Not every convention has every option; the variant alone has been made.
                if "the convention" not in str(error):
                    raise


def layer_in_a_file(item, folder):
    inputs = inputs_of(item)
    layer = made(item)
    kinds = [x if x.dtype.kind == "i" else x.astype("float32") for x in inputs]
    symbols, outputs = drawn(layer, kinds)
    model = eg.Model(symbols, outputs, seed=3)
    model.compile("sgd", square)
    again = reloaded(model, folder)
    assert repr(again.layers[0]) == repr(layer)
    x = kinds if len(kinds) > 1 else kinds[0]
    assert_goes_on(model, again, x, np.zeros(len(kinds[0])))


def activation_in_a_file(item, folder):
    names = [name for name, thing in offered().items() if thing is item.thing]
    for activation in (item.thing, *names):
        for dtype in ("float32", "float64"):
            model = network(activation=activation, dtype=dtype)
            model.compile("sgd", square)
            again = reloaded(model, folder)
            found = again.layers[-1].activation
            if found is not item.thing:
                raise ContractError(f"{item}: comes back from a file as {found.__name__}")
            assert_goes_on(model, again, X.astype(dtype), np.zeros(len(X)))


def initializer_in_a_file(item, folder):
    first = made(item)
    again = reloaded(network(kernel_initializer=first), folder).layers[0].kernel_initializer
    assert repr(again) == repr(first)
    for dtype in ("float32", "float64"):
        draws = [one((4, 3), dtype, seed=9, path="a/b").numpy() for one in (first, again)]
        np.testing.assert_array_equal(*draws, strict=True)


def setting_in_a_file(item, folder, argument):
    trained_in_a_file(network(**{argument: made(item)}), folder)


def schedule_in_a_file(item, folder):
    schedule = made(item)
    model = network()
    trained_in_a_file(model, folder, eg.optimizers.SGD(schedule))
    again = reloaded(model, folder).optimizer.learning_rate
    assert [again(step) for step in range(12)] == [schedule(step) for step in range(12)]


def loss_in_a_file(item, folder):
    loss = made(item)
    targets = targets_of(item, loss)

    def trained(activation):
        model = network(predictions_for(item).shape[1], activation)
        model.compile("adam", loss)
        model.fit(X, targets, batch_size=2, verbose=0)
        return model

    heads = ("softmax", "sigmoid", None)
    head = first_that_works(item, heads, trained, "TARGETS")
    model = trained(head)
    again = reloaded(model, folder)
    assert again.evaluate(X, targets) == model.evaluate(X, targets)
    assert_goes_on(model, again, X, targets)


def metric_in_a_file(item, folder):
    def compiled(guess):
        outputs, y = guess
        model = network(outputs=outputs, activation="sigmoid")
        model.compile("adam", square, [made(item)])
        model.evaluate(X, y)
        return model

    guess = first_that_works(item, METRIC_GUESSES, compiled, "METRIC_GUESSES")
    model = compiled(guess)
    again = reloaded(model, folder)
    results = [one.evaluate(X, guess[1], return_dict=True) for one in (model, again)]
    assert list(results[0]) == list(results[1])
    for a, b in zip(*(result.values() for result in results), strict=True):
        np.testing.assert_array_equal(a, b)
