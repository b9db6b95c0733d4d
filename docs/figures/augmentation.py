"""Pictures of docs/guide/augmentation.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from picture import digits, panels, picture

import evengrad as eg
from evengrad import layers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAYERS: dict[str, Any] = {
    "none": layers.Rescaling(1.0),
    "shift": layers.RandomTranslation(0.15, 0.15, fill_mode="constant"),
    "rotation": layers.RandomRotation(0.06, fill_mode="constant"),
    "zoom": layers.RandomZoom(0.25, fill_mode="constant"),
    "contrast": layers.RandomContrast(0.5, value_range=(0, 1)),
    "erasing": layers.RandomErasing(1.0, (0.05, 0.15), fill_value=0.0, value_range=(0, 1)),
    "noise": layers.GaussianNoise(0.15),
    "flip": layers.RandomFlip(),
    "half turns": layers.RandomRotation((0.45, 0.55), fill_mode="constant"),
}


@picture
def gallery() -> Figure:
    """Draw what layers make of a digit."""
    x, y = digits()
    four = x[y == 4][3].reshape(1, 8, 8)
    # Pixels are few; a smooth copy of the image shows a movement of less than one.
    large = np.kron(four, np.ones((1, 4, 4)))
    for axis in (1, 2):
        large = sum(np.roll(large, shift, axis) for shift in range(-2, 3)) / 5
    rows = eg.tensor(np.repeat(large, 5, axis=0).astype("float32"))
    figure, axes = panels(5, len(LAYERS), 3.2)
    for column, (name, layer) in zip(axes.T, LAYERS.items(), strict=True):
        changed = eg.Sequential([layer], seed=4)(rows, training=True).numpy()
        for panel, image in zip(column, changed, strict=True):
            panel.imshow(image, cmap="Greys_r", vmin=0, vmax=1)
            panel.set(xticks=[], yticks=[])
            panel.grid(visible=False)
        column[0].set_title(name, fontsize=8)
    return figure
