"""What augmenting a batch of images costs, beside Keras' layers and torchvision's transforms.

    make race QUICK=1    # makes the environments and installs the wheel
    .venv-race-keras/bin/pip install torch torchvision    # at the versions of requirements-torch
    .venv-race-evengrad/bin/python benches/race/augmentation.py --peers .venv-race-keras/bin/python

Each library augments batches of 128 images in float32, 28x28x1 and 96x96x3, on one thread, by the
time that the processor was at it, so that other guests of the machine disturb little: evengrad in a
captured step, as `fit` does; Keras in a `tf.function` and eagerly, of which the quicker one counts,
both without a copy of what they return;
torchvision's v2 transforms on a tensor of channels first, which draw once for the whole batch and
change all images alike, where evengrad and Keras draw for each image. Affine maps are bilinear, and
beyond the edges is a constant, but for the rows that say otherwise; torchvision has constants only.
Flips and boxes of torchvision come with certainty, as a batch that is left alone takes no time.

All take turns, one at a time; a turn is some calls for a twentieth of a second. Prints the medians
of the turns in milliseconds a batch, and how many times as long as evengrad the others take.
``--each`` has image by image too, which takes a while.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPES = {"28x28x1": (128, 28, 28, 1), "96x96x3": (128, 96, 96, 3)}
CASES = (
    *("translation", "translation, reflect", "rotation", "rotation, reflect", "zoom"),
    *("zoom, reflect", "flip", "brightness", "contrast", "erasing"),
)
TURN, TURNS = 0.05, 5
Calls = dict[str, "Callable[[], object]"]


def images(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Return a batch of images from 0 to 1."""
    return np.random.default_rng(0).random(shape, dtype="float32")


def arguments_of(case: str) -> tuple[str, dict[str, Any]]:
    """Return the class and the arguments of a layer, of Keras and of evengrad alike."""
    name, _, fill = case.partition(", ")
    modes = {"fill_mode": fill or "constant"}
    return {
        "translation": ("RandomTranslation", {"height_factor": 0.1, "width_factor": 0.1, **modes}),
        "rotation": ("RandomRotation", {"factor": 0.1, **modes}),
        "zoom": ("RandomZoom", {"height_factor": 0.2, "width_factor": 0.2, **modes}),
        "flip": ("RandomFlip", {}),
        "brightness": ("RandomBrightness", {"factor": 0.2, "value_range": (0.0, 1.0)}),
        "contrast": ("RandomContrast", {"factor": 0.2, "value_range": (0.0, 1.0)}),
        "erasing": ("RandomErasing", {"value_range": (0.0, 1.0)}),
    }[name]


def calls_of_evengrad(case: str, shape: tuple[int, ...], each: bool) -> Calls:
    """Return the layer in a captured step."""
    import evengrad as eg

    del each
    eg.set_num_threads(1)
    name, arguments = arguments_of(case)
    layer, x = getattr(eg.layers, name)(**arguments), eg.tensor(images(shape))
    # One pixel of each image comes out: what a compiled function returns is a copy.
    return {"evengrad": eg.compile(lambda: layer(x, training=True)[:, :1, :1])}


def calls_of_keras(case: str, shape: tuple[int, ...], each: bool) -> Calls:
    """Return the layer, eagerly and in a graph."""
    import keras
    import tensorflow as tf

    del each
    name, arguments = arguments_of(case)
    layer, x = getattr(keras.layers, name)(**arguments), tf.constant(images(shape))
    graph = tf.function(lambda x: layer(x, training=True), autograph=False)
    return {
        "keras, eager": lambda: layer(x, training=True),
        "keras, graph": lambda: graph(x),
    }


def calls_of_torchvision(case: str, shape: tuple[int, ...], each: bool) -> Calls:
    """Return the transform of a whole batch, and of image by image."""
    import torch
    from torchvision.transforms import InterpolationMode, v2

    name, _, fill = case.partition(", ")
    if fill:
        return {}
    torch.set_num_threads(1)
    bilinear = {"interpolation": InterpolationMode.BILINEAR}
    transform = {
        "translation": lambda: v2.RandomAffine(0, translate=(0.1, 0.1), **bilinear),
        "rotation": lambda: v2.RandomRotation(36, **bilinear),
        "zoom": lambda: v2.RandomAffine(0, scale=(0.8, 1.2), **bilinear),
        "flip": lambda: v2.Compose([v2.RandomHorizontalFlip(1.0), v2.RandomVerticalFlip(1.0)]),
        "brightness": lambda: v2.ColorJitter(brightness=0.2),
        "contrast": lambda: v2.ColorJitter(contrast=0.2),
        "erasing": lambda: v2.RandomErasing(1.0, value="random"),
    }[name]()
    x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(images(shape), -1, 1)))
    calls: Calls = {"torchvision": lambda: transform(x)}
    if each:
        calls["torchvision, each"] = lambda: torch.stack([transform(image) for image in x])
    return calls


LIBRARIES = {
    "evengrad": calls_of_evengrad,
    "keras": calls_of_keras,
    "torchvision": calls_of_torchvision,
}


def warm_up(call: Callable[[], object]) -> None:
    """Have a call traced or captured, and its plan found: some calls, of slow ones fewer."""
    begin = time.process_time()
    for _ in range(50):
        call()
        if time.process_time() - begin > 0.3:
            return


def seconds_of(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes, of some."""
    count, begin = 0, time.process_time()
    while True:
        call()
        count += 1
        taken = time.process_time() - begin
        if taken > TURN:
            return taken / count


def serve(library: str, each: bool) -> None:
    """Measure what is asked for, a line at a time: a case and a shape."""
    known: dict[tuple[str, str], Calls] = {}
    for line in sys.stdin:
        case, shape = json.loads(line)
        if (case, shape) not in known:
            known[case, shape] = LIBRARIES[library](case, SHAPES[shape], each)
            for call in known[case, shape].values():
                warm_up(call)
        print(json.dumps({name: seconds_of(call) for name, call in known[case, shape].items()}))
        sys.stdout.flush()


class Racer:
    """A library in a process of its own."""

    def __init__(self, library: str, python: str, each: bool) -> None:
        command = [python, str(Path(__file__).resolve()), "--serve", library]
        one = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
        quiet = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.process = subprocess.Popen(
            [*command, *(["--each"] if each else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **one, **quiet},
        )

    def measure(self, case: str, shape: str) -> dict[str, float]:
        """Return seconds of a turn, by the way that the library takes."""
        stdin, stdout = self.process.stdin, self.process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("expected a process with pipes")
        stdin.write(json.dumps([case, shape]) + "\n")
        stdin.flush()
        return dict(json.loads(stdout.readline()))

    def close(self) -> None:
        """Let the process end."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()


def row_of(case: str, shape: str, racers: list[Racer]) -> str:
    """Measure a case in turns, and return its line."""
    turns: dict[str, list[float]] = {}
    for _ in range(TURNS):
        for racer in racers:
            for name, seconds in racer.measure(case, shape).items():
                turns.setdefault(name, []).append(seconds)
    medians = {name: statistics.median(values) for name, values in turns.items()}
    graphs = [medians.pop(name) for name in ("keras, eager", "keras, graph") if name in medians]
    if graphs:
        medians["keras"] = min(graphs)
    own = medians.pop("evengrad")
    others = "".join(
        f"{medians[name] * 1e3:10.3f} {medians[name] / own:6.1f}x" if name in medians else " " * 18
        for name in ("keras", "torchvision", "torchvision, each")
    )
    return f"{shape:8} {case:21} {own * 1e3:9.3f}{others}"


def main() -> None:
    """Race, or serve a race."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", help="the interpreter that has keras, torch and torchvision")
    parser.add_argument("--each", action="store_true", help="torchvision image by image, too")
    parser.add_argument("--cases", nargs="*", default=CASES, choices=CASES)
    parser.add_argument("--serve", choices=LIBRARIES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.each)
        return
    racers = [Racer("evengrad", sys.executable, arguments.each)]
    if arguments.peers:
        racers += [
            Racer(name, arguments.peers, arguments.each) for name in ("keras", "torchvision")
        ]
    print(f"{'ms a batch of 128':30} {'evengrad':>9}{'keras':>18}{'torchvision':>18}{'each':>18}")
    for shape in SHAPES:
        for case in arguments.cases:
            print(row_of(case, shape, racers), flush=True)
    for racer in racers:
        racer.close()


if __name__ == "__main__":
    main()
