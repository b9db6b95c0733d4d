"""Loading weights beside the packages whose formats they are: time, and memory at its peak.

    make interoperability FILTER=nothing  # makes the environment and installs the wheel
    .venv-interoperability/bin/python benches/race/load_speed.py --megabytes 200

The same arrays as a safetensors file of the `safetensors` package, one of `save_weights`, which has
checksums, and an archive of `numpy.savez`; `load_weights` puts them into a model that is there, the
packages make arrays. Loads take turns, each figure is a median with its quartiles, and the last
column says how many times as fast `load_weights` is. Memory is what a process of its own holds at
the peak of one load beyond what it held before, with the model in it, and how much of it is beyond
the size of the file.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import safetensors.numpy
from peak_memory import resident

import evengrad as eg

if TYPE_CHECKING:
    from collections.abc import Callable

LAYERS = 8
MEGA, MEBI = 10**6, 2**20
# Files by what they are called here, with the package that they are compared with.
FILES = {
    "net.safetensors": "safetensors",
    "checksums.safetensors": "safetensors",
    "net.npz": "NumPy",
}


def model_of(megabytes: int) -> eg.Model:
    """Return a model of equal layers whose weights take so much memory."""
    width = round((megabytes * MEGA / 4 / LAYERS) ** 0.5)
    return eg.Sequential(
        [eg.Input((width,)), *[eg.layers.Dense(width) for _ in range(LAYERS)]], seed=1
    )


def write_files(model: eg.Model, folder: Path) -> None:
    """Write the weights of a model in each format."""
    arrays = {name: np.array(tensor.detach().numpy()) for name, tensor in model.named_weights()}
    safetensors.numpy.save_file(arrays, folder / "net.safetensors")
    model.save_weights(folder / "checksums.safetensors")
    np.savez(folder / "net.npz", **arrays)


def theirs(path: Path) -> None:
    """Load a file by the package of its format."""
    if path.suffix == ".npz":
        with np.load(path) as archive:
            _ = {name: archive[name] for name in archive.files}
    else:
        safetensors.numpy.load_file(path)


def seconds(load: Callable[[Path], object], path: Path) -> float:
    """Return how long a load takes."""
    begin = time.perf_counter()
    load(path)
    return time.perf_counter() - begin


def measure_times(model: eg.Model, folder: Path, rounds: int) -> None:
    """Measure all loads in turn, and print a line for each file."""
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in FILES}
    for number in range(rounds + 1):
        for name, (ours, others) in found.items():
            pair = seconds(theirs, folder / name), seconds(model.load_weights, folder / name)
            # The first round finds no memory that was used before.
            if number:
                others.append(pair[0])
                ours.append(pair[1])
    print(f"{'milliseconds':24}{'load_weights':>24}{'the package':>24}{'times as fast':>15}")
    for name, (ours, others) in found.items():
        ratio = statistics.median(others) / statistics.median(ours)
        print(f"{name:24}{spread(ours):>24}{spread(others):>24}{ratio:15.2f}")


def spread(times: list[float]) -> str:
    """Return the median and the quartiles in milliseconds."""
    low, middle, high = (1000 * value for value in statistics.quantiles(times, n=4))
    return f"{middle:,.0f} ({low:,.0f} to {high:,.0f})"


def measure_memory(path: Path, megabytes: int) -> None:
    """Load a file in this process, and print how much more it held at the peak."""
    model = model_of(megabytes)
    before = resident("VmRSS")
    # The peak of what was before is higher where the model was made by way of copies.
    Path("/proc/self/clear_refs").write_text("5")
    model.load_weights(path)
    print(json.dumps(resident("VmHWM") - before))


def main() -> None:
    """Measure times, then memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--here", type=Path, help="measure the memory of one load")
    given = parser.parse_args()
    if given.here:
        measure_memory(given.here, given.megabytes)
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        model = model_of(given.megabytes)
        write_files(model, folder)
        measure_times(model, folder, given.rounds)
        del model
        print(f"\n{'MiB at the peak':24}{'file':>10}{'more':>10}{'beyond':>10}")
        for name in FILES:
            size = os.path.getsize(folder / name) / MEBI
            command = [sys.executable, __file__, "--megabytes", str(given.megabytes)]
            printed = subprocess.run(
                [*command, "--here", folder / name], capture_output=True, check=True, text=True
            ).stdout
            more = json.loads(printed)
            print(f"{name:24}{size:10,.0f}{more:10,.0f}{more - size:10,.0f}", flush=True)


if __name__ == "__main__":
    main()
