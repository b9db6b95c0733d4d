"""Names of other libraries, and names misspelt: what the answer says."""

import inspect
import re
import sys

import numpy as np
import pytest
from api_contract import own_items, public_modules

import evengrad as eg
from evengrad import layers, losses, optimizers
from evengrad._common import foreign_words

MODULES = {module.__name__: module for module in public_modules()}


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        (eg, "Sequental", "did you mean 'Sequential'"),
        (eg, "manual_seed", r"here it is evengrad\.utils\.set_random_seed"),
        (layers, "Linear", r"here it is layers\.Dense\(units\)"),
        (layers, "Conv2D", r"layers\.Flatten\(\) makes rows"),
        (layers, "dropout", "did you mean 'Dropout'"),
        (layers, "GlobalAveragePooling2D", r"layers\.Flatten\(\) makes rows"),
        (layers, "MultiHeadAttention", "no attention"),
        (eg, "Dense", r"here it is evengrad\.layers\.Dense"),
        (eg, "float32", '"float32"'),
        (losses, "cross_entropy", r"here it is evengrad\.functional\.cross_entropy"),
        (optimizers, "ReduceLROnPlateau", r"here it is evengrad\.callbacks\.ReduceLROnPlateau"),
        (losses, "CrossEntropyLoss", r"SparseCategoricalCrossentropy\(from_logits=True\)"),
        (optimizers, "adam", "did you mean 'Adam'"),
        (optimizers.schedules, "CosineDecai", "did you mean 'CosineDecay'"),
    ],
)
def test_modules_answer_for_names_that_they_have_not(module, name, message):
    with pytest.raises(AttributeError, match=rf"module '{module.__name__}'.*{message}") as caught:
        getattr(module, name)
    assert caught.value.name == name
    assert caught.value.obj is module


def test_what_nothing_is_like_is_only_said_to_be_missing():
    with pytest.raises(AttributeError, match=r"^module 'evengrad' has no attribute 'xyzzy'$"):
        _ = eg.xyzzy
    # Python and its tools ask for such, and take no for an answer.
    assert not hasattr(eg, "__wrapped__")
    with pytest.raises(ImportError, match="cannot import name 'Linear'"):
        from evengrad.layers import Linear  # noqa: F401 - it is not there


@pytest.mark.parametrize("name", sorted(foreign_words.NAMES))
def test_words_are_foreign_and_what_they_lead_to_is_there(name):
    module = sys.modules[name]
    for word, meant in foreign_words.NAMES[name].items():
        assert word not in vars(module), f"{name} has {word}: its hint is dead"
        for path in [part.strip(".,:;()") for part in meant.replace("(", " ").split()]:
            root, _, rest = path.partition(".")
            if not rest or root not in ("evengrad", *dir(eg)) or root == "model":
                continue
            thing = eg if root == "evengrad" else getattr(eg, root)
            for part in rest.split("."):
                thing = thing if part == "sklearn" else getattr(thing, part, None)
                if part == "sklearn":
                    thing = pytest.importorskip("evengrad.sklearn")
            assert thing is not None, f"{word}: there is no {path}"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_modules_list_what_is_public_alone(name):
    module = MODULES[name]
    listed, declared = dir(module), getattr(module, "__all__", [])
    assert not [one for one in listed if one.startswith("_")]
    for one in set(listed) - set(declared):
        thing = getattr(module, one)
        owner = thing.__name__ if inspect.ismodule(thing) else thing.__module__
        assert owner.startswith("evengrad"), f"{name} lists {one} of {owner}"
    found = {item.name.rpartition(".")[2] for item in own_items(module)}
    assert found <= set(listed), f"{name} does not list {sorted(found - set(listed))}"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.Adam(lr=0.1), "Adam: unknown argument 'lr'; here it is learning_rate"),
        (lambda: optimizers.Adam(betas=(0.9, 0.99)), "here it is beta_1 and beta_2"),
        (lambda: layers.Dense(2, input_shape=(3,)), r"begin with evengrad\.Input"),
        (lambda: layers.Dense(2, bias=False), "here it is use_bias"),
        (lambda: layers.Dropout(p=0.5), "here it is rate"),
        (lambda: eg.Sequential(layers.Dense(2), layers.Dense(1)), r"got 2; put them into a list"),
        (lambda: layers.Dropout(0.5, 3, 4, 5, 6, 7, 8, 9), "give the others by their names"),
        (lambda: eg.Sequential([layers.Dense(1)]).fit([[1.0]], [[1.0]], nb_epoch=2), "is epochs"),
        (lambda: eg.Sequential([layers.Dense(1)]).compile(optimizers.Adam), "forget its paren"),
        (lambda: losses.get(losses.Huber), "the class Huber; did you forget its parentheses"),
    ],
)
def test_arguments_of_others_are_known(make, message):
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize("name", sorted({**foreign_words.LAYER_NAMES, **foreign_words.MODEL_NAMES}))
def test_models_answer_for_attributes_that_they_have_not(name):
    model = eg.Sequential([layers.Dense(1)])
    meant = foreign_words.LAYER_NAMES.get(name) or foreign_words.MODEL_NAMES[name]
    with pytest.raises(
        AttributeError, match=f"'Sequential' object has no attribute '{name}'"
    ) as caught:
        getattr(model, name)
    assert str(caught.value).endswith(meant)
    assert not hasattr(model, name)
    # What stands for it is there.
    for path in re.findall(
        r"(?<![\w)])\.(\w+)", meant.replace("model.", ".").replace("self.", ".")
    ):
        assert hasattr(model, path) or hasattr(layers.Dense, path) or path == "kernel"


class Own(layers.Layer):
    weight = 2.0

    def __init__(self):
        self.train = 3.0

    def parameters(self):
        return []


def test_classes_may_have_attributes_of_these_names():
    own = Own()
    assert (own.weight, own.train, own.parameters()) == (2.0, 3.0, [])


class Forgets(eg.Model):
    def __init__(self):
        self.inner = layers.Dense(2)

    def call(self, x):
        return self.inner(x)


class Forward(eg.Model):
    def forward(self, x):
        return x


class ForwardLayer(layers.Layer):
    def forward(self, x):
        return x


def test_habits_of_classes():
    with pytest.raises(TypeError, match=r"Forgets.__init__: expected a call of super\(\)"):
        Forgets()(np.ones((2, 2)))
    for kind in (Forward, ForwardLayer):
        with pytest.raises(NotImplementedError, match="rename forward to call"):
            kind()(np.ones((2, 2)))


def test_images_into_dense_layers():
    for units, loss, y in [
        (3, "sparse_categorical_crossentropy", np.zeros(10, int)),
        (3, "categorical_crossentropy", np.eye(3)[np.zeros(10, int)]),
        (1, "binary_crossentropy", np.zeros((10, 1))),
        (1, "mse", np.zeros(10)),
    ]:
        model = eg.Sequential([layers.Dense(5, "relu"), layers.Dense(units)])
        model.compile("adam", loss)
        # Of the inputs, not of the targets.
        with pytest.raises(ValueError, match=r"^x: each row holds 4 vec.*layers\.Flatten\(\)"):
            model.fit(np.ones((10, 4, 5)), y, verbose=0)


def test_optimizers_have_a_short_name_of_their_rate():
    optimizer = optimizers.SGD(0.5)
    assert optimizer.lr == 0.5
    optimizer.lr = 0.25
    assert optimizer.learning_rate == 0.25


@pytest.mark.parametrize(
    ("suffix", "call"),
    [
        (".h5", "load_weights"),
        (".npz", "load_weights"),
        (".pt", "load_weights"),
        (".keras", "from_keras"),
        (".onnx", "from_onnx"),
    ],
)
def test_files_of_others_name_their_reader(suffix, call, tmp_path):
    path = tmp_path / f"net{suffix}"
    path.write_bytes(b"something else")
    with pytest.raises(eg.FileFormatError, match=call):
        eg.load_model(path)


def test_a_word_for_compilation_is_taken_without_effect():
    model = eg.Sequential([layers.Dense(1)], seed=1)
    model.compile("sgd", "mse", jit_compile=True)
    model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
