"""The entrants of the race: libraries with their settings, by task."""

from __future__ import annotations

from dataclasses import dataclass, field

from workloads import FRESH, WORKLOADS

OURS = "evengrad"

# What is raced, and on which workloads.
TASKS: dict[str, tuple[str, ...]] = {
    # Whole epochs, by `fit` or the peer's equal of it.
    "training": tuple(workload.name for workload in WORKLOADS),
    # A new model, compiled and trained for one epoch: what a `fit` costs once decides.
    "fresh-fit": tuple(workload.name for workload in FRESH),
    # A loop in Python without capture or compilation, where the overhead of an operation decides.
    "eager-loop": ("tabular", "five-by-100"),
    # One row at a time: of larger nets the memory's speed decides, which is everyone's.
    "one-row": ("tabular", "mnist", "mnist-bn", "five-by-100"),
}
UNITS = {
    "training": "steps/s",
    "fresh-fit": "fits/s",
    "eager-loop": "steps/s",
    "one-row": "rows/s",
}


@dataclass(frozen=True)
class Family:
    """A library: its settings for each task, the best of which counts, and its environment."""

    settings: dict[str, tuple[str, ...]]
    environment: dict[str, str] = field(default_factory=dict)
    """Variables that it gets; ``{threads}`` and ``{eigen}`` in them are filled in."""


FAMILIES = {
    # Ours counts at its first setting with all threads, the one that users have; the others are
    # shown beside it.
    OURS: Family(
        {
            "training": ("fit",),
            "fresh-fit": ("fit",),
            "eager-loop": ("eager",),
            "one-row": ("tensor", "array"),
        }
    ),
    "torch": Family(
        {
            "training": ("eager", "compile", "compile-all"),
            "eager-loop": ("eager",),
            "one-row": ("eager", "compile"),
        },
        # The compiler's helper processes would still start while the clock runs. Only the time that
        # it takes to compile depends on them.
        {"TORCHINDUCTOR_COMPILE_THREADS": "1"},
    ),
    "jax": Family(
        {"training": ("jit", "scan"), "one-row": ("jit",)},
        # JAX has no function for its number of threads.
        {
            "JAX_PLATFORMS": "cpu",
            "NPROC": "{threads}",
            "XLA_FLAGS": "--xla_cpu_multi_thread_eigen={eigen}",
        },
    ),
    "keras": Family(
        {"training": ("default", "steps", "xla")},
        {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
    ),
    "sklearn": Family({"training": ("fit",), "fresh-fit": ("fit",)}),
    "onnxruntime": Family({"one-row": ("session",)}),
}
PEERS = [name for name in FAMILIES if name != OURS]


@dataclass(frozen=True, order=True)
class Entrant:
    """A library with a setting and a number of threads."""

    family: str
    setting: str
    threads: int

    def __str__(self) -> str:
        return f"{self.family} {self.setting}, {self.threads} thread{'s' * (self.threads > 1)}"

    def environment(self) -> dict[str, str]:
        """Return the variables that its process gets."""
        values = {"threads": self.threads, "eigen": str(self.threads > 1).lower()}
        given = FAMILIES[self.family].environment
        return {name: text.format(**values) for name, text in given.items()}


def entrants(task: str, families: list[str], threads: int) -> list[Entrant]:
    """Return all entrants of a task: every setting, on one thread and on all."""
    return [
        Entrant(family, setting, count)
        for family in families
        for setting in FAMILIES[family].settings.get(task, ())
        for count in sorted({1, threads})
    ]


def headline(task: str, threads: int) -> Entrant:
    """Return the entrant whose figure is ours."""
    return Entrant(OURS, FAMILIES[OURS].settings[task][0], threads)
