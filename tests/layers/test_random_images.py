"""Augmentation of images: places against SciPy, laws of the draws, captured, saved, resumed."""

import numpy as np
import pytest
from layer_checks import assert_gradients, assert_same_bits
from scipy import ndimage, stats

import evengrad as eg
from evengrad import _core, layers

# SciPy's name of each mode as Keras documents it: periods of n and 2n, and single pixels beyond the
# edges that are interpolated with, which "constant" and "wrap" of SciPy do otherwise.
SCIPY_MODES = {
    "constant": "grid-constant",
    "nearest": "nearest",
    "reflect": "reflect",
    "wrap": "grid-wrap",
}
ORDERS = {"nearest": 0, "bilinear": 1}
SHAPES = [(9, 12), (7, 11, 3), (8, 5, 2)]


@pytest.fixture
def rng():
    return np.random.default_rng(33)


def expected_of(images, maps, mode, interpolation, value):
    """Return what SciPy makes of images, whose maps go by columns first."""
    found = np.empty_like(images)
    for image, map_, out in zip(images, maps, found, strict=True):
        a, b, c, d, e, f = map_
        channels = image[..., None] if image.ndim == 2 else image
        for channel in range(channels.shape[-1]):
            moved = ndimage.affine_transform(
                channels[..., channel],
                [[e, d], [b, a]],
                [f, c],
                order=ORDERS[interpolation],
                mode=SCIPY_MODES[mode],
                cval=value,
                prefilter=False,
            )
            (out[..., None] if out.ndim == 2 else out)[..., channel] = moved
    return found


def maps_of(rng, n, straight):
    """Return maps with shifts far beyond the edges; straight ones keep rows and columns."""
    maps = np.empty((n, 6))
    maps[:, [0, 4]] = rng.uniform(0.4, 2.5, (n, 2))
    maps[:, [1, 3]] = 0 if straight else rng.uniform(-1.5, 1.5, (n, 2))
    maps[:, [2, 5]] = rng.uniform(-25, 25, (n, 2))
    maps[0, :] = [1, 0, 2.25, 0, 1, -3.4]
    return maps


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("interpolation", ORDERS)
@pytest.mark.parametrize("mode", SCIPY_MODES)
def test_places_against_scipy(rng, mode, interpolation, shape):
    for straight in (True, False):
        images, maps = rng.normal(size=(6, *shape)), maps_of(rng, 6, straight)
        expected = expected_of(images, maps, mode, interpolation, 2.5)
        given = eg.tensor(maps, dtype="float64")
        found = _core.affine_transform(images, given, mode, interpolation, 2.5)
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-12)
        single = _core.affine_transform(images.astype("float32"), given, mode, interpolation, 2.5)
        assert single.dtype == "float32"
        np.testing.assert_allclose(single.numpy(), expected, rtol=0, atol=1e-4)
        if len(shape) == 3:
            first = np.ascontiguousarray(np.moveaxis(images, -1, 1))
            found = _core.affine_transform(first, given, mode, interpolation, 2.5, True)
            np.testing.assert_allclose(np.moveaxis(found.numpy(), 1, -1), expected, atol=1e-12)


def drawn(layer, x, times=1):
    """Return what the layer, with a seed of its own, makes of x in training."""
    model = eg.Sequential([layer], seed=7, dtype=layer.dtype)
    return [model(x, training=True).numpy().copy() for _ in range(times)]


def ramp(n, height, width):
    """Return images whose pixels tell their row and column in two channels."""
    rows, columns = np.mgrid[:height, :width].astype("float64")
    return np.repeat(np.stack([rows, columns], -1)[None], n, 0)


def uniform(found, low, high):
    """Tell whether numbers are uniform between two others."""
    return stats.kstest(found, stats.uniform(low, high - low).cdf).pvalue > 1e-3


class TestLaws:
    def test_translation(self):
        layer = layers.RandomTranslation((-0.1, 0.3), 0.2, dtype="float64")
        [y] = drawn(layer, ramp(2000, 21, 31))
        down, right = 10 - y[:, 10, 15, 0], 15 - y[:, 10, 15, 1]
        assert uniform(down / 21, -0.1, 0.3)
        assert uniform(right / 31, -0.2, 0.2)
        assert abs(np.corrcoef(down, right)[0, 1]) < 4 / np.sqrt(2000)

    def test_rotation(self):
        [y] = drawn(layers.RandomRotation((-0.1, 0.2), dtype="float64"), ramp(2000, 21, 31))
        np.testing.assert_allclose(y[:, 10, 15], [[10, 15]] * 2000, atol=1e-12)
        # What comes to the right of the middle was below it, where the turn is counter-clockwise.
        moved = y[:, 10, 20] - [10, 15]
        np.testing.assert_allclose(np.hypot(*moved.T), 5, rtol=1e-12)
        assert uniform(np.arctan2(moved[:, 0], moved[:, 1]) / (2 * np.pi), -0.1, 0.2)

    def test_zoom(self):
        for width, own in ((None, False), ((-0.4, 0.1), True)):
            layer = layers.RandomZoom((-0.2, 0.5), width, dtype="float64")
            [y] = drawn(layer, ramp(2000, 21, 31))
            tall = y[:, 12, 15, 0] / 2 - 5
            wide = (y[:, 10, 18, 1] - 15) / 3
            assert uniform(tall, 0.8, 1.5)
            assert uniform(wide, *((0.6, 1.1) if own else (0.8, 1.5)))
            correlation = np.corrcoef(tall, wide)[0, 1]
            assert abs(correlation) < 4 / np.sqrt(2000) if own else correlation > 1 - 1e-9

    @pytest.mark.parametrize("mode", ["horizontal", "vertical", "horizontal_and_vertical"])
    def test_flip(self, mode):
        x = ramp(4000, 3, 4)
        [y] = drawn(layers.RandomFlip(mode), x)
        down, right = y[:, 0, 0, 0] == 2, y[:, 0, 0, 1] == 3
        for share, axis in ((down.mean(), "vertical"), (right.mean(), "horizontal")):
            if axis in mode:
                assert share == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 4000))
            else:
                assert share == 0
        if mode == "horizontal_and_vertical":
            # Coins of their own: of four kinds a quarter each.
            assert stats.chi2_contingency(np.histogram2d(down, right, 2)[0]).pvalue > 1e-3
        for one, image, turned, mirrored in zip(y[:8], x, down, right, strict=False):
            expected = image[:: -1 if turned else 1, :: -1 if mirrored else 1]
            np.testing.assert_array_equal(one, expected)

    def test_brightness(self):
        x = np.full((3000, 2, 2), 100.0)
        [y] = drawn(layers.RandomBrightness((-0.2, 0.4), dtype="float64"), x)
        assert uniform((y[:, 0, 0] - 100) / 255, -0.2, 0.4)
        [y] = drawn(layers.RandomBrightness(1.0, (0, 1)), np.full((100, 1, 1), 0.5))
        assert (y.min(), y.max()) == (0, 1)

    def test_contrast(self):
        x = np.tile([100.0, 120.0], (3000, 2, 1))
        for factor, low, high in ((0.3, 0.7, 1.3), ((0.5, 0.1), 0.5, 1.1)):
            [y] = drawn(layers.RandomContrast(factor, dtype="float64"), x)
            np.testing.assert_allclose(y.mean((1, 2)), 110, rtol=1e-12)
            assert uniform((y[:, 0, 1] - y[:, 0, 0]) / 20, low, high)

    def test_contrast_is_of_each_channel(self, rng):
        x = rng.uniform(0, 255, (5, 6, 7, 3))
        [y] = drawn(layers.RandomContrast(0.3, dtype="float64"), x)
        means = x.mean((1, 2), keepdims=True)
        factors = ((y - means) / (x - means))[y > 0][:1]
        [again] = drawn(
            layers.RandomContrast(0.3, data_format="channels_first", dtype="float64"),
            np.moveaxis(x, -1, 1).copy(),
        )
        np.testing.assert_allclose(np.moveaxis(again, 1, -1), y, rtol=1e-12)
        expected = np.clip(means[0] + factors * (x[0] - means[0]), 0, 255)
        np.testing.assert_allclose(y[0], expected, rtol=1e-9)

    def test_erasing(self):
        x = np.full((3000, 20, 30), 7.0)
        [y] = drawn(layers.RandomErasing((0.2, 0.6), (0.1, 0.3), 3.0), x)
        erased = (y == 3).any((1, 2))
        assert erased.mean() == pytest.approx(0.4, abs=4 * np.sqrt(0.24 / 3000))
        assert set(np.unique(y)) == {3, 7}
        for image in y[erased][:200] == 3:
            rows, columns = np.nonzero(image.any(1))[0], np.nonzero(image.any(0))[0]
            assert image.sum() == len(rows) * len(columns)
            assert abs(len(rows) - 20 * np.sqrt(0.2)) <= 20 * (np.sqrt(0.3) - np.sqrt(0.1)) / 2 + 2
        shares = (y[erased] == 3).mean((1, 2))
        # E √s, squared, with s uniform.
        side = 2 / 3 * (0.3**1.5 - 0.1**1.5) / 0.2
        assert shares.mean() == pytest.approx(side**2, rel=0.03)

    def test_noise_in_boxes(self):
        x = np.full((200, 20, 30, 3), -9.0)
        layer = layers.RandomErasing(1.0, (0.5, 0.5), value_range=(-9, 2), dtype="float64")
        [y] = drawn(layer, x)
        noise = y[(y != -9) & (y != 2)]
        # The normal law of deviation 2, cut on both sides.
        law = stats.truncnorm(-4.5, 1, 0, 2)
        assert stats.kstest(noise[::7], law.cdf).pvalue > 1e-3

    def test_values_of_channels(self):
        for data_format, shape in (("channels_last", (4, 5, 3)), ("channels_first", (3, 4, 5))):
            layer = layers.RandomErasing(1.0, 1.0, [1, 2, 300.0], data_format=data_format)
            layer.scale = (1.0, 1.0)
            [y] = drawn(layer, np.zeros((2, *shape)))
            y = y if data_format == "channels_last" else np.moveaxis(y, 1, -1)
            np.testing.assert_array_equal(y, np.broadcast_to([1, 2, 255.0], y.shape))


LAYERS = [
    lambda **more: layers.RandomTranslation(0.2, 0.3, **more),
    lambda **more: layers.RandomRotation(0.2, "wrap", **more),
    lambda **more: layers.RandomZoom(0.4, fill_mode="constant", **more),
    layers.RandomFlip,
    lambda **more: layers.RandomBrightness(0.3, (-2, 2), **more),
    lambda **more: layers.RandomContrast(0.5, (-2, 2), **more),
    lambda **more: layers.RandomErasing(0.7, **more),
]
each = pytest.mark.parametrize("make", LAYERS, ids=lambda make: type(make()).__name__)


@each
def test_inference_is_the_identity(make, rng):
    x = rng.normal(size=(3, 6, 7)).astype("float32")
    np.testing.assert_array_equal(make()(x).numpy(), x)


@each
def test_draws_follow_from_the_seed_and_are_fresh(make, rng):
    x = rng.normal(size=(20, 6, 7))
    first, second = (drawn(make(), x, 3) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first[0], first[1])
    # Each image has numbers of its own, whatever batch it stands in.
    alike = np.repeat(x[:1], 20, 0)
    assert len({image.tobytes() for image in drawn(make(), alike)[0]}) > 1


@each
def test_layers_with_one_seed_draw_the_same_whatever_the_model(make, rng):
    x = rng.normal(size=(20, 6, 7))
    first = drawn(make(seed=5), x, 2)
    for seed in (1, 2):
        model = eg.Sequential([layers.Reshape((6, 7)), make(seed=5, name="masks")], seed=seed)
        found = [model(x, training=True).numpy() for _ in range(2)]
        np.testing.assert_array_equal(first, found)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first, drawn(make(seed=6), x, 2))
    layer = make(seed=5)
    assert type(layer)(**layer.get_config()).seed == 5
    with pytest.raises(ValueError, match="seed: expected 0 or more, got -1"):
        make(seed=-1)


@each
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_places_of_channels_are_one_convention(make, rng, data_format):
    x = rng.normal(size=(9, 6, 7, 2))
    erasing = isinstance(make(), layers.RandomErasing)
    more = {"fill_value": 0.5} if erasing else {}
    [expected] = drawn(make(dtype="float64", **more), x)
    moved = x if data_format == "channels_last" else np.moveaxis(x, -1, 1).copy()
    [found] = drawn(make(dtype="float64", data_format=data_format, **more), moved)
    found = found if data_format == "channels_last" else np.moveaxis(found, 1, -1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@each
def test_gradients(make, rng):
    assert_gradients(make(dtype="float64"), rng.normal(size=(3, 4, 5)), training=True)


@each
def test_same_bits_in_every_way(make, rng, tmp_path):
    def model():
        parts = [layers.Reshape((6, 7, 1)), make(), layers.Flatten(), layers.Dense(1)]
        return eg.Sequential(parts, seed=3)

    x, y = rng.normal(size=(70, 42)), rng.normal(size=(70, 1))
    assert_same_bits(model, x, y, tmp_path, threads=(1, 2, 3))


@each
def test_a_checkpoint_goes_on_to_the_bit(make, rng, tmp_path):
    x, y = rng.normal(size=(50, 6, 7)), rng.normal(size=(50, 1))

    def model():
        net = eg.Sequential([make(), layers.Flatten(), layers.Dense(1)], seed=3)
        net.compile("adam", "mse")
        return net

    whole = model()
    whole.fit(x, y, batch_size=16, epochs=4, verbose=0)
    model().fit(x, y, batch_size=16, epochs=2, checkpoint=tmp_path, verbose=0)
    again = model()
    again.fit(x, y, batch_size=16, epochs=4, checkpoint=tmp_path, verbose=0)
    for one, other in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@each
def test_bytes_are_images_too(make, rng):
    x = rng.integers(0, 256, (5, 6, 7), dtype=np.uint8)
    [found], [expected] = drawn(make(), x), drawn(make(), x.astype("float32"))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
    model = eg.Sequential([make(), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    assert np.isfinite(model.fit(x, np.zeros(5), verbose=0).history["loss"]).all()


def test_a_layer_that_is_changed_changes_what_is_captured(rng):
    x = rng.normal(size=(32, 6, 7))
    layer = layers.RandomTranslation(0.0, 0.0)
    model = eg.Sequential([layer, layers.Flatten(), layers.Dense(1)], seed=3)
    model.compile(eg.optimizers.SGD(0.0), "mse")
    losses = []
    for factor in (0.0, (1.0, 1.0), 0.0):
        layer.height_factor = factor
        history = model.fit(x, np.ones(32), shuffle=False, verbose=0)
        losses.append(history.history["loss"][0])
    assert losses[0] == losses[2] != losses[1]


def test_images_are_no_part_of_what_predict_mc_samples(rng):
    x = rng.normal(size=(4, 6, 7))
    model = eg.Sequential([layers.RandomFlip(), layers.Flatten(), layers.Dense(3)], seed=1)
    model.build((None, 6, 7))
    np.testing.assert_array_equal(model(x), model.predict(x))
    assert not layers.RandomFlip.monte_carlo


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.RandomTranslation(1.5, 0.0), "height_factor"),
        (lambda: layers.RandomTranslation(0.1, (0.1, 0.2, 0.3)), "expected a number or two, got 3"),
        (lambda: layers.RandomRotation(0.1, "mirror"), "fill_mode: unknown 'mirror'"),
        (lambda: layers.RandomRotation(0.1, interpolation="cubic"), "interpolation"),
        (lambda: layers.RandomZoom(1.0), "zoomed in as much as out"),
        (lambda: layers.RandomZoom((-1.0, 0.5)), "height_factor"),
        (lambda: layers.RandomFlip("diagonal"), "mode: unknown"),
        (lambda: layers.RandomBrightness(0.1, (1, 0)), r"\(low, high\)"),
        (lambda: layers.RandomContrast(-0.1), "factor"),
        (lambda: layers.RandomErasing(2.0), "factor"),
        (lambda: layers.RandomErasing(fill_value=[]), "fill_value"),
        (lambda: layers.RandomFlip(data_format="first"), "data_format"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_wrong_inputs():
    with pytest.raises(ValueError, match=r"layers.Reshape\(\(height, width\)\)"):
        layers.RandomFlip()(np.zeros((4, 9)))
    with pytest.raises(ValueError, match="images of 3 channels"):
        layers.RandomErasing(fill_value=[1, 2, 3])(np.zeros((4, 9, 9, 2)))
