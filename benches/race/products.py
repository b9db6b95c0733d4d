"""Matrix products (GEMM) of PyTorch and NumPy alone, on one thread.

    make race QUICK=1    # makes the environments
    .venv-race-torch/bin/python benches/race/products.py

For the products that a step of each of the race's networks needs, in GFLOP/s: PyTorch's (MKL,
where its build has it) into a result that is there already, and NumPy's (OpenBLAS, as a rule). The
counterpart of `make rivals`, which has ours beside those of other crates. Calls from Python cost
about a microsecond, which counts in products that take few.
"""

from __future__ import annotations

import os
import statistics
import time
from typing import TYPE_CHECKING

# Read when the libraries are loaded.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
from workloads import WORKLOADS

try:
    import torch
except ImportError:
    torch = None

if TYPE_CHECKING:
    from collections.abc import Callable

TURNS = 15
# Floating-point operations of a turn, at least.
TURN = 2e7


def products(rows: int, inputs: int, units: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the factors of a layer's products: forward, for its weights, and for its inputs."""
    rng = np.random.default_rng(0)
    x, w, d = (
        rng.normal(size=size).astype("float32")
        for size in ((rows, inputs), (inputs, units), (rows, units))
    )
    return {"A·B": (x, w), "Aᵀ·B": (x.T, d), "A·Bᵀ": (d, w.T)}


def of_numpy(a: np.ndarray, b: np.ndarray) -> Callable[[], object]:
    """Return what multiplies with NumPy."""
    out = np.empty((len(a), b.shape[1]), "float32")
    return lambda: np.matmul(a, b, out=out)


def of_torch(a: np.ndarray, b: np.ndarray) -> Callable[[], object]:
    """Return what multiplies with PyTorch."""
    left, right = torch.from_numpy(a), torch.from_numpy(b)
    out = torch.empty(len(a), b.shape[1])
    return lambda: torch.mm(left, right, out=out)


def race(libraries: dict[str, Callable[[], object]], flops: float) -> list[float]:
    """Return the GFLOP/s of each library, which take turns."""
    repeats = int(TURN // flops) + 1
    times: dict[str, list[float]] = {name: [] for name in libraries}
    for _ in range(TURNS):
        for name, multiply in libraries.items():
            multiply()
            start = time.perf_counter()
            for _ in range(repeats):
                multiply()
            times[name].append((time.perf_counter() - start) / repeats)
    return [flops / statistics.median(taken) / 1e9 for taken in times.values()]


def main() -> None:
    """Race, and print a table."""
    makers = {"numpy": of_numpy}
    if torch is not None:
        torch.set_num_threads(1)
        makers["torch"] = of_torch
    print(f"{'network':12} {'product':22}" + "".join(f"{name:>10}" for name in makers))
    done: set[tuple[int, int, int]] = set()
    for workload in WORKLOADS:
        for inputs, units in workload.pairs:
            size = (workload.batch, inputs, units)
            if size in done:
                continue
            done.add(size)
            for kind, (a, b) in products(*size).items():
                (m, k), n = a.shape, b.shape[1]
                libraries = {name: make(a, b) for name, make in makers.items()}
                speeds = race(libraries, 2.0 * m * k * n)
                text = "".join(f"{speed:>10.1f}" for speed in speeds)
                print(f"{workload.name:12} {f'{kind:5} {m}x{k}x{n}':22}{text}", flush=True)


if __name__ == "__main__":
    main()
