"""Tensors under the words of NumPy, Keras and PyTorch: values against NumPy, gradients, errors."""

import math

import numpy as np
import pytest

import evengrad as eg

RNG = np.random.default_rng(3)
FULL = [RNG.normal(size=shape) for shape in [(), (1,), (5,), (3, 4), (2, 1, 3)]]
EMPTY = [np.zeros((0, 3)), np.zeros((2, 0))]


def of_each(arrays):
    return pytest.mark.parametrize("array", arrays, ids=[str(one.shape) for one in arrays])


def axes_of(array):
    several = [tuple(range(array.ndim))] if array.ndim else []
    return [None, *range(-array.ndim, array.ndim), *several]


def same(found, expected):
    expected = np.asarray(expected)
    assert type(found) is eg.Tensor
    assert (found.shape, found.dtype) == (expected.shape, str(expected.dtype))
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        *((name, FULL + EMPTY) for name in ("sum", "prod", "any", "all")),
        *((name, FULL) for name in ("mean", "std", "var", "max", "min")),
    ],
)
def test_reductions_by_either_name(name, arrays, keepdims):
    own = {"ddof": 0} if name in ("std", "var") else {}
    for array in arrays:
        x = eg.tensor(array)
        for axis in axes_of(array):
            expected = getattr(np, name)(array, axis=axis, keepdims=keepdims)
            same(getattr(eg, name)(x, axis=axis, keepdims=keepdims, **own), expected)
            same(getattr(x, name)(axis=axis, keepdims=keepdims, **own), expected)
            # NumPy's own function.
            same(getattr(np, name)(x, axis=axis, keepdims=keepdims), expected)
            if name not in ("max", "min"):
                same(getattr(x, name)(dim=axis, keepdim=keepdims, **own), expected)


@pytest.mark.parametrize("p", [0, 1, 2, 3, 0.5, math.inf])
def test_norms(p):
    array = np.array([[3.0, -4.0, 0.0], [1e-300, 2e-300, 0.0]])
    x = eg.tensor(array)
    for axis in (None, 0, 1):
        flat = array.ravel() if axis is None else array
        same(x.norm(p, axis), np.linalg.norm(flat, p, axis=0 if axis is None else axis))
    assert eg.norm(x, p, 1, keepdim=True).shape == (2, 1)
    same(eg.norm(np.zeros((0, 3)), p, 0), np.zeros(3))


def test_norms_at_the_limits():
    # Of squares, float64 holds those up to 1e308 alone.
    same(eg.norm(eg.tensor([3e200, 4e200], "float64")), 5e200)
    assert eg.norm([math.inf, 1.0]).item() == math.inf
    assert math.isnan(eg.norm([math.nan, 1.0]).item())
    for function in (eg.norm, lambda x: eg.std(x, ddof=0)):
        x = eg.zeros(3, requires_grad=True)
        function(x).backward()
        assert x.grad.tolist() == [0.0, 0.0, 0.0]
    assert eg.norm([3, 4], "fro").item() == 5.0
    with pytest.raises(ValueError, match=r"numpy\.linalg\.norm"):
        eg.norm([1.0], "nuc")


def test_truths_and_integers_are_counted():
    hits = eg.tensor([True, False, True, True])
    assert (hits.sum().item(), hits.sum().dtype, hits.mean().item()) == (3, "int64", 0.75)
    labels = eg.tensor([[3, 1], [2, 9]])
    same(labels.sum(0), [5, 10])
    same(labels.max(1), [3, 9])
    same(labels.argmax(axis=1), [0, 1])
    same(labels.argmin(axis=1), [1, 0])
    same(labels.cumsum(axis=1), [[3, 4], [2, 11]])
    same(labels.clip(2, 5), [[3, 2], [2, 5]])


def test_one_argument_has_one_name():
    x = eg.ones((2, 2))
    for call, message in [
        (lambda: x.sum(0, axis=1), "dim and axis are one argument"),
        (lambda: x.std(ddof=0, unbiased=True), "ddof and unbiased are one argument"),
        (lambda: x.clamp(0.0, min=0.0), "two names"),
        (lambda: x.max(dim=1), r"take amax\(dim\).*argmax\(dim\)"),
        (lambda: eg.max(x, x), r"eg\.maximum\(x, y\)"),
        (lambda: eg.split(x, 1, dim=0), r"take chunk\(x, parts, dim\)"),
        (lambda: x.view("float64"), r"\.astype\(dtype\)"),
    ]:
        with pytest.raises(TypeError, match=message):
            call()


@of_each([*FULL[1:], *EMPTY])
def test_running_sums_and_orders(array):
    x = eg.tensor(array)
    for axis in [None, *range(-array.ndim, array.ndim)]:
        same(x.cumsum(axis), np.cumsum(array, axis))
        same(x.cumprod(axis=axis), np.cumprod(array, axis))
        same(x.argsort(axis), np.argsort(array, axis, kind="stable"))
        same(eg.sort(x, axis=axis), np.sort(array, axis))
    same(x.sort(descending=True), -np.sort(-array))
    same(eg.take_along_axis(x, x.argsort(), -1), np.sort(array))


def test_equal_elements_keep_their_order():
    x = [2.0, 1.0, 2.0, 1.0]
    assert eg.argsort(x).tolist() == [1, 3, 0, 2]
    assert eg.argsort(x, descending=True).tolist() == [0, 2, 1, 3]


def test_running_sums_of_infinities_begin_where_they_stand():
    np.testing.assert_array_equal(
        eg.cumsum([1.0, math.inf, 1.0, math.nan]).numpy(), [1.0, math.inf, math.inf, math.nan]
    )


def test_elements_by_their_places():
    x = RNG.normal(size=(4, 5, 3))
    places = RNG.integers(-5, 5, size=(4, 2, 3))
    same(eg.gather(eg.tensor(x), 1, places), np.take_along_axis(x, places, 1))
    same(
        eg.take_along_axis(eg.tensor(x), places[:, :, :1], 1),
        np.take_along_axis(x, places[:, :, :1], 1),
    )
    # PyTorch's may have fewer rows.
    same(eg.gather(eg.tensor(x), 1, places[:2]), np.take_along_axis(x[:2], places[:2], 1))
    with pytest.raises(IndexError, match="5 is out of range for a dimension of size 5"):
        eg.gather(eg.tensor(x), 1, np.full((4, 1, 3), 5))
    with pytest.raises(ValueError, match="index: expected 3 dimensions"):
        eg.gather(eg.tensor(x), 1, [0])
    with pytest.raises(TypeError, match="expected integers, got float32"):
        eg.gather(eg.tensor(x), 1, eg.zeros((4, 1, 3)))


SHAPED = [
    ("reshape", lambda m, x: m.reshape(x, (4, 6))),
    ("transpose", lambda m, x: m.transpose(x)),
    ("transpose by order", lambda m, x: m.transpose(x, (1, 0, 2))),
    ("swapaxes", lambda m, x: m.swapaxes(x, 0, -1)),
    ("moveaxis", lambda m, x: m.moveaxis(x, 0, 1)),
    ("squeeze", lambda m, x: m.squeeze(m.expand_dims(x, (0, 2)))),
    ("squeeze one", lambda m, x: m.squeeze(m.expand_dims(x, 1), axis=1)),
    ("expand_dims", lambda m, x: m.expand_dims(x, (1, -1))),
    ("broadcast_to", lambda m, x: m.broadcast_to(x, (5, 2, 3, 4))),
    ("flip", lambda m, x: m.flip(x)),
    ("flip some", lambda m, x: m.flip(x, (0, -1))),
    ("repeat", lambda m, x: m.repeat(x, 2)),
    ("repeat along", lambda m, x: m.repeat(x, 3, axis=1)),
    ("tril", lambda m, x: m.tril(x, 1)),
    ("triu", lambda m, x: m.triu(x, -1)),
    ("concatenate", lambda m, x: m.concatenate([x, x], axis=1)),
    ("concatenate all", lambda m, x: m.concatenate([x, x], axis=None)),
    ("stack", lambda m, x: m.stack([x, x], 1)),
    ("split", lambda m, x: m.split(x, 2, axis=-1)[1]),
    ("split at places", lambda m, x: m.split(x, [1, 3], axis=-1)[1]),
    ("clip", lambda m, x: m.clip(x, -0.5, 0.5)),
    ("clip one side", lambda m, x: m.clip(x, 0.0, None)),
    ("clip by arrays", lambda m, x: m.clip(x, np.zeros(4), np.ones((3, 1)))),
    ("where", lambda m, x: m.where(x > 0.0, x, 0.0)),
    ("floor", lambda m, x: m.floor(10 * x)),
    ("ceil", lambda m, x: m.ceil(10 * x)),
    ("round", lambda m, x: m.round(100 * x, 1)),
    ("outer", lambda m, x: m.outer(x, x)),
    ("dot", lambda m, x: m.dot(x, np.ones((4, 2)))),
    ("dot of vectors", lambda m, x: m.dot(x[0, 0], x[1, 1])),
    ("einsum", lambda m, x: m.einsum("ijk,ljk->il", x, x)),
    ("isnan", lambda m, x: m.isnan(x)),
    ("zeros_like", lambda m, x: m.zeros_like(x)),
    ("full_like", lambda m, x: m.full_like(x, 2.5)),
]


@pytest.mark.parametrize("function", [f for _, f in SHAPED], ids=[name for name, _ in SHAPED])
def test_functions_of_numpy(function):
    array = RNG.normal(size=(2, 3, 4))
    expected = function(np, array)
    same(function(eg, eg.tensor(array)), expected)
    same(function(np, eg.tensor(array)), expected)


def test_other_words_of_shapes():
    x = eg.arange(24).reshape(2, 3, 4)
    assert x.view(4, -1).shape == (4, 6)
    assert x.flatten(0, 1).shape == (6, 4)
    assert [part.shape for part in x.chunk(3, dim=2)] == [(2, 3, 2), (2, 3, 2)]
    assert eg.concat([[1.0], eg.ones(1)], dim=0).tolist() == [1.0, 1.0]
    assert eg.zeros(()).flatten().shape == (1,)
    with pytest.raises(ValueError, match="no 5 equal parts"):
        eg.split(x, 5, axis=2)
    with pytest.raises(IndexError, match="dim 3 is out of range for a tensor with 3 dimensions"):
        eg.flip(x, 3)


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("ij,jk", [(2, 3), (3, 4)]),
        ("ij->ji", [(2, 3)]),
        ("ij->", [(2, 3)]),
        ("ii->i", [(3, 3)]),
        ("ii", [(3, 3)]),
        ("iij->ji", [(3, 3, 2)]),
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
        ("bij,bkj,bl->ikl", [(2, 3, 4), (2, 5, 4), (2, 2)]),
        ("i,j->ij", [(2,), (3,)]),
        ("i,i", [(3,), (3,)]),
        ("...ij,jk->...ik", [(5, 2, 3), (3, 4)]),
        ("...i,...i->...", [(2, 1, 3), (4, 3)]),
        ("ab,cd->dbca", [(2, 3), (4, 5)]),
        ("ij,k->i", [(2, 3), (4,)]),
        ("ij,ij->ij", [(1, 3), (2, 3)]),
        ("ij,jk->ik", [(2, 0), (0, 4)]),
    ],
)
def test_sums_of_products(subscripts, shapes):
    operands = [RNG.normal(size=shape) for shape in shapes]
    same(eg.einsum(subscripts, *map(eg.tensor, operands)), np.einsum(subscripts, *operands))
    if all(one.size for one in operands):
        assert eg.autograd.gradcheck(lambda *x: eg.einsum(subscripts, *x), operands)


@pytest.mark.parametrize(
    ("subscripts", "shapes", "message"),
    [
        ("ij,jk", [(2, 3)], "2 operands, got 1"),
        ("ijk", [(2, 3)], r"'ijk' do not fit an operand of shape \(2, 3\)"),
        ("ij,jk->ik", [(2, 3), (4, 4)], r"'j' has sizes \[3, 4\]"),
        ("ij->k", [(2, 3)], "'k' is no result"),
        ("i1", [(2, 3)], "do not fit"),
        ("ii", [(2, 3)], "'i' has sizes 2 and 3"),
    ],
)
def test_sums_of_products_that_do_not_fit(subscripts, shapes, message):
    with pytest.raises(ValueError, match=message):
        eg.einsum(subscripts, *[np.ones(shape) for shape in shapes])


def test_numbers_between_bounds():
    eg.utils.set_random_seed(4)
    drawn = eg.rand(1000)
    assert 0.0 <= drawn.min().item() < 0.1
    assert 0.9 < drawn.max().item() < 1.0
    whole = eg.randint(-2, 3, (500,)).numpy()
    assert sorted(set(whole.tolist())) == [-2, -1, 0, 1, 2]
    assert eg.randint(4).shape == ()
    assert sorted(eg.randperm(5).tolist()) == [0, 1, 2, 3, 4]
    assert eg.randn((2, 3), dtype="float64").dtype == "float64"
    same(eg.linspace(0.0, 1.0, 5, endpoint=False, dtype="float64"), np.linspace(0, 1, 5, False))
    assert eg.linspace(0.0, 1.0, steps=3).tolist() == [0.0, 0.5, 1.0]
    same(eg.eye(2, 3, dtype="float64"), np.eye(2, 3))
    with pytest.raises(ValueError, match="randint: expected bounds"):
        eg.randint(3, 3)


def test_whole_numbers_of_special_values():
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 1e300, math.inf, -math.inf, math.nan, 2.0**52 + 1])
    for name in ("floor", "ceil", "round"):
        np.testing.assert_array_equal(getattr(eg, name)(eg.tensor(x)), getattr(np, name)(x))


@pytest.mark.parametrize("other", [2.5, np.array([1.5, -2.0, 0.7])])
def test_quotients_and_remainders(other):
    x = np.array([5.3, -7.1, 2.0])
    t = eg.tensor(x)
    for found, expected in [
        (t % other, x % other),
        (t // other, x // other),
        (other % t, other % x),
        (other // t, other // x),
    ]:
        same(found, expected)


def test_gradients_of_orders():
    x = RNG.normal(size=(3, 4))
    for function in (
        lambda x: eg.sort(x, 0) ** 2.0,
        lambda x: x[x > 0.0] ** 2.0,
        lambda x: x[[0, 2, 0], [1, 1, 1]] ** 2.0,
        lambda x: x[:, [0, 0, 3]] ** 2.0,
        lambda x: eg.norm(x, 3, 1),
        lambda x: eg.norm(x, 2),
        lambda x: eg.prod(x * np.array([1.0, 0.0, 1.0, 1.0]), 1),
    ):
        assert eg.autograd.gradcheck(function, x)


# ---- elements


INDICES = [
    lambda: np.array([True, False, True]),
    lambda: RNG.random((3, 4)) > 0.5,
    lambda: [True, False, True],
    lambda: ([0, 2, 0], [1, 1, 3]),
    lambda: (slice(None), [0, 3, 3]),
    lambda: (slice(None, None, -1), np.array([True, False, False, True])),
    lambda: (np.array([[0], [2]]), np.array([1, -1])),
    lambda: (1, [0, 1]),
    lambda: (None, [0, 1]),
    lambda: (..., [0, 1]),
    list,
]


@pytest.mark.parametrize("make", INDICES)
def test_elements_by_any_index_of_numpy(make):
    array, key = RNG.normal(size=(3, 4)), make()
    same(eg.tensor(array)[key], array[key])
    parts = key if isinstance(key, tuple) else (key,)
    as_tensors = tuple(
        eg.tensor(one) if isinstance(one, (list, np.ndarray)) and len(one) else one for one in parts
    )
    same(eg.tensor(array)[as_tensors], array[key])


@pytest.mark.parametrize(
    "make", [*INDICES, lambda: 1, lambda: (1, 2), lambda: slice(1, None), lambda: (slice(None), 0)]
)
@pytest.mark.parametrize("dtype", ["float64", "int64", "bool"])
def test_assignment_to_elements(make, dtype):
    array, key = (10.0 * RNG.normal(size=(3, 4))).astype(dtype), make()
    x = eg.tensor(array)
    held = x
    x[key] = 7
    array[key] = 7
    np.testing.assert_array_equal(held.numpy(), array)
    values = (10.0 * RNG.normal(size=array[key].shape)).astype(dtype)
    x[key] = values
    array[key] = values
    np.testing.assert_array_equal(held.numpy(), array)


def test_assignments_that_cannot_be():
    x = eg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match=r"evengrad\.where\(mask, value, x\)"):
        x[0] = 3.0
    state = eg.zeros(2)
    with pytest.raises(RuntimeError, match="where operations are recorded"):
        state[0] = x[0]
    with eg.no_grad():
        x[0] = 3.0
        state[0] = x[0]
    assert x.tolist() == [3.0, 2.0]
    assert state.tolist() == [3.0, 0.0]
    with pytest.raises(ValueError, match="expand"):
        state[:] = [1.0, 2.0, 3.0]


def test_captured_steps_take_elements_at_places_that_are_computed():
    scores = RNG.normal(size=(4, 3))
    labels = eg.tensor([0, 2, 1, 1])

    @eg.compile
    def step(x, places):
        return x[np.arange(4), places]

    for row in ([0, 2, 1, 1], [2, 2, 0, -1]):
        labels.copy_(row)
        same(step(eg.tensor(scores), labels), scores[np.arange(4), row])

    @eg.compile
    def masked(x):
        return x[x > 0.0]

    with pytest.raises(eg._core.CaptureError, match=r"evengrad\.where\(mask, x, 0\.0\)"):
        masked(eg.tensor(scores))

    @eg.compile
    def bounded(x):
        x = x * 1.0
        x[x < 0.0] = 0.0
        return x

    same(bounded(eg.tensor(scores)), np.maximum(scores, 0.0))


# ---- in place


def test_assignments_change_what_all_names_mean():
    x = eg.tensor([1.0, 2.0])
    other = x
    x += 1.0
    x *= [[2.0]][0][0]
    x -= eg.tensor([1.0, 0.0])
    x /= 2.0
    x **= 2
    assert x is other
    assert other.tolist() == [2.25, 9.0]
    rows = eg.zeros((2, 2))
    first = rows[0]
    first += 1.0
    assert rows.tolist() == [[1.0, 1.0], [0.0, 0.0]]


def test_what_is_recorded_stays_as_it_was():
    w = eg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match=r"within `with evengrad\.no_grad\(\):`"):
        w += 1.0
    y = w * w
    before = y
    y += w
    assert before.tolist() == [1.0, 4.0]
    y.sum().backward()
    assert w.grad.tolist() == [3.0, 5.0]
    with eg.no_grad():
        again = w
        w -= 0.5 * w.grad
    assert w is again
    assert w.requires_grad
    assert w.tolist() == [-0.5, -0.5]
    total = eg.zeros(())
    total += (w * w).sum()
    assert total.requires_grad


def test_results_of_other_shapes_or_dtypes_are_refused():
    x = eg.zeros(2)
    with pytest.raises(ValueError, match=r"shape \(2,\) and dtype float32.*got \(3, 2\)"):
        x += eg.zeros((3, 2))
    with pytest.raises(ValueError, match=r"got .* and float64"):
        x += eg.zeros(2, dtype="float64")
    with pytest.raises(TypeError, match="unsupported operand"):
        x += "1"


def test_methods_in_place():
    x = eg.tensor([1.0, -2.0])
    assert x.add_(1.0).sub_([1.0, 1.0], alpha=2.0).mul_(3.0).div_(2.0) is x
    assert x.tolist() == [0.0, -4.5]
    assert x.clamp_(min=-1.0).tolist() == [0.0, -1.0]
    assert x.fill_(2.0).tolist() == [2.0, 2.0]
    assert x.zero_().tolist() == [0.0, 0.0]
    w = eg.ones(2, requires_grad=True)
    for call in (lambda: w.add_(1.0), lambda: x.mul_(w), lambda: w.clamp_(0.0, 1.0)):
        with pytest.raises(RuntimeError, match=r"write x = x.*no_grad"):
            call()
    with pytest.raises(AttributeError, match=r"write x = x\.exp\(\.\.\.\)"):
        w.exp_()


def test_captured_steps_repeat_what_is_done_in_place():
    state = eg.zeros(())

    @eg.compile
    def step(x):
        nonlocal state
        state += x.sum()
        return x * 1.0

    for count in range(1, 4):
        step(eg.ones(2))
        assert state.item() == 2.0 * count


# ---- what Python asks


def test_formats_rounding_places_and_membership():
    loss = eg.tensor(0.34567, requires_grad=True) * 1.0
    assert f"{loss:.3f}" == "0.346"
    assert f"{loss}".startswith("tensor(")
    assert (round(loss, 2), round(loss), type(round(loss))) == (0.35, 0, int)
    assert round(eg.tensor([1.26, 2.0], "float64"), 1).tolist() == [1.3, 2.0]
    with pytest.raises(TypeError, match="expected a tensor with one element"):
        f"{eg.zeros(2):.3f}"
    names = ["a", "b", "c"]
    assert names[eg.tensor([[0.1, 0.9, 0.0]]).argmax()] == "b"
    assert list(range(eg.tensor(2))) == [0, 1]
    for bad in (eg.tensor(1.0), eg.tensor([1])):
        with pytest.raises(TypeError, match="only integer tensors without dimensions"):
            names[bad]
    x = eg.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert 4.0 in x
    assert 5.0 not in x
    assert eg.tensor([3.0, 4.0]) in x
    assert "a" not in x


def test_truths_are_joined():
    x = np.array([-1.0, 0.5, 2.0, 3.0])
    t = eg.tensor(x)
    same((t > 0.0) & (t < 2.5), (x > 0.0) & (x < 2.5))
    same((t > 0.0) & (x < 2.5), (x > 0.0) & (x < 2.5))
    same((x > 0.0) | (t < -0.5), (x > 0.0) | (x < -0.5))
    same((t > 0.0) ^ (t > 1.0), (x > 0.0) ^ (x > 1.0))
    same(~(t > 0.0), ~(x > 0.0))
    for call in (lambda: t & t, lambda: (t > 0.0) & 1, lambda: ~t):
        with pytest.raises(TypeError, match=r"compare first, as in ~?\(x > 0\)"):
            call()


def test_missing_attributes_say_what_stands_for_them():
    x = eg.zeros(2)
    for name, message in [("numel", r"\.size"), ("cuda", "CPUs"), ("t", r"\.T"), ("item_", "item")]:
        with pytest.raises(AttributeError, match=message) as caught:
            getattr(x, name)
        assert caught.value.name == name
    with pytest.raises(AttributeError, match=r"has no attribute 'xyzzy'$"):
        _ = x.xyzzy
    assert not hasattr(x, "__array_struct__")


def test_lists_of_tensors_keep_their_gradients():
    w = eg.tensor([1.0, 2.0], requires_grad=True)
    eg.mean([w.sum(), w[0] * 2.0, 3.0]).backward()
    np.testing.assert_allclose(w.grad, [1.0, 1.0 / 3.0])


# ---- NumPy's protocols


UFUNCS = [
    *("exp", "expm1", "sqrt", "square", "sin", "cos", "tan", "tanh", "sinh", "cosh", "log", "log2"),
    *("log10", "log1p", "exp2", "abs", "negative", "sign", "reciprocal", "isnan", "isfinite"),
    *("isinf", "floor", "ceil", "rint", "logical_not", "positive", "fabs"),
]


@pytest.mark.parametrize("name", UFUNCS)
def test_functions_of_elements_stay_on_the_tape(name):
    array = np.array([0.3, 1.7, 2.2])
    function = getattr(np, name)
    w = eg.tensor(array, requires_grad=True)
    found = function(w)
    same(found, function(array))
    if found.requires_grad:
        assert eg.autograd.gradcheck(function, array)


@pytest.mark.parametrize(
    "name",
    [
        *("add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "floor_divide"),
        *("remainder", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal"),
        *("logical_and", "logical_or", "logical_xor", "logaddexp"),
    ],
)
def test_functions_of_two_elements(name):
    x, y = np.array([0.3, 1.7, 2.2]), np.array([[1.5], [0.3]])
    function, expected = getattr(np, name), None
    for pair in [(eg.tensor(x), y), (x, eg.tensor(y)), (eg.tensor(x), eg.tensor(y))]:
        expected = function(x, y)
        same(function(*pair), expected)
    for pair in [(eg.tensor(x), 2.0), (2.0, eg.tensor(x)), (np.float64(2.0), eg.tensor(x))]:
        if name != "logaddexp":
            plain = [one.numpy() if isinstance(one, eg.Tensor) else one for one in pair]
            same(function(*pair), function(*plain))


def test_numbers_of_numpy_stay_weak():
    x = eg.ones(2)
    for found in (np.float64(2.0) * x, x * np.float64(2.0), np.multiply(np.float64(2.0), x)):
        assert (found.dtype, found.tolist()) == ("float32", [2.0, 2.0])


def test_ways_of_functions_of_elements():
    array = RNG.normal(size=(3, 4))
    x = eg.tensor(array)
    same(np.add.reduce(x), np.add.reduce(array))
    same(np.maximum.reduce(x, axis=None), np.maximum.reduce(array, axis=None))
    same(np.add.accumulate(x), np.add.accumulate(array))
    out = np.zeros((3, 4))
    assert np.add(x, 1.0, out=out) is out
    np.testing.assert_array_equal(out, array + 1.0)
    out += x
    np.testing.assert_array_equal(out, array + 1.0 + array)
    w = eg.tensor(array, requires_grad=True)
    with pytest.raises(RuntimeError, match="out="):
        np.add(w, 1.0, out=out)
    with pytest.raises(TypeError, match=r"numpy\.arctan: tensors have no counterpart.*detach"):
        np.arctan(x)
    with pytest.raises(TypeError, match="takes no where"):
        np.add(x, 1.0, where=array > 0.0)


def test_other_functions_compute_values_where_nothing_is_lost():
    array = RNG.normal(size=(3, 4))
    x, w = eg.tensor(array), eg.tensor(array, requires_grad=True)
    assert np.median(x) == np.median(array)
    assert np.array_equal(w, array)
    assert np.allclose(w, array)
    assert np.shape(w) == (3, 4)
    assert np.count_nonzero(w) == 12
    with pytest.raises(TypeError, match=r"numpy\.median: .* requires a gradient"):
        np.median(w)
    with eg.no_grad():
        assert np.median(w) == np.median(array)
    with pytest.raises(TypeError, match=r"numpy\.nonzero\(mask\.numpy\(\)\)"):
        np.where(x > 0.0)


def test_gradients_reach_through_functions_of_numpy():
    array = RNG.normal(size=(3, 4))
    for function in (
        np.mean,
        np.std,
        np.linalg.norm,
        lambda x: np.concatenate([x, 2.0 * x]),
        lambda x: np.where(np.isfinite(x), np.square(x), 0.0),
        lambda x: np.einsum("ij,ij->i", x, x),
        lambda x: np.take(x, [2, 0, 2], axis=0),
        lambda x: np.take(x, [[2, 0]], axis=1),
    ):
        assert eg.autograd.gradcheck(function, array)
        same(function(eg.tensor(array)), function(array))
