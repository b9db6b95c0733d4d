"""One measurement: a fresh process on the race's cores, repeated where others disturbed it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import other_processes
from results import Measurement, objection

if TYPE_CHECKING:
    from entrants import Entrant

HERE = Path(__file__).resolve().parent

# Variables with these beginnings change how a library computes or which one is found: an entrant
# gets none of the caller's.
TUNING = (
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "VECLIB_", "NUMEXPR_", "GOTO_"),
    *("DNNL_", "ONEDNN_", "TORCH", "PYTORCH_", "ATEN_", "INDUCTOR_", "LRU_CACHE_CAPACITY"),
    *("XLA_", "JAX_", "TF_", "KERAS_", "ORT_", "EVENGRAD_", "RAYON_", "RUST_", "NPY_", "SKLEARN_"),
    *(
        "NPROC",
        "MALLOC_",
        "GLIBC_TUNABLES",
        "LD_PRELOAD",
        "DYLD_INSERT_LIBRARIES",
        "PYTHON",
        "CUDA_",
        "HIP_",
        "ROCR_",
    ),
)
# A twentieth of a core: over what an idle system does beside, and over one clock tick of the
# kernel in the shortest sensible measurement; under what would move a figure noticeably.
DISTURBED = 0.05
# A measurement is made so often before the least disturbed one counts, marked as such.
ATTEMPTS = 3
# Before it is made again, the machine gets so many seconds to become quiet.
PATIENCE = 20.0
# Seconds after which a process is ended: the largest net on one thread takes a few minutes, and so
# does a compiler on the net of a hundred layers.
LIMIT = 900.0


class Course:
    """Where and how measurements are made."""

    def __init__(self, environments: Path, seconds: float, attempts: int = ATTEMPTS) -> None:
        self.environments = environments
        self.seconds = seconds
        self.attempts = attempts
        # Compiled kernels and settings of the peers: neither from nor to the user's own.
        self._scratch = tempfile.TemporaryDirectory(prefix="race-")

    def close(self) -> None:
        """Remove what the peers left behind."""
        self._scratch.cleanup()

    def python(self, family: str) -> Path:
        """Return the interpreter of a library's environment."""
        return self.environments / f".venv-race-{family}" / "bin" / "python"

    def measure(self, task: str, workload: str, entrant: Entrant, number: int) -> Measurement:
        """Measure; again where other processes took too much of the cores."""
        outcomes = []
        for attempt in range(self.attempts):
            if attempt > 0:
                self._wait_for_quiet()
            outcome = self._once(task, workload, entrant, number)
            outcomes.append(outcome)
            if outcome.rate is None or not outcome.disturbed:
                return outcome
        return min(outcomes, key=lambda outcome: outcome.others or 0.0)

    def _once(self, task: str, workload: str, entrant: Entrant, number: int) -> Measurement:
        nothing = Measurement(task, workload, entrant, number, None)
        raw = self._run(task, workload, entrant)
        if "failure" in raw:
            return replace(nothing, objection=raw["failure"])
        if "unsuitable" in raw:
            return replace(nothing, objection=raw["unsuitable"], unsuitable=True, raw=raw)
        reason = objection(raw)
        others = raw["others"]
        return replace(
            nothing,
            rate=None if reason else raw["rate"],
            objection=reason,
            others=others,
            disturbed=others is not None and others > DISTURBED,
            raw=raw,
        )

    def _run(self, task: str, workload: str, entrant: Entrant) -> dict[str, Any]:
        command = [
            *(self.python(entrant.family), HERE / f"racer_{entrant.family}.py"),
            *(task, workload, entrant.setting, entrant.threads, self.seconds),
        ]
        process = subprocess.Popen(
            list(map(str, command)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self._scratch.name,
            env=self._environment(entrant),
            # A group of its own, so that a peer's helpers end with it.
            start_new_session=True,
        )
        try:
            output, errors = process.communicate(timeout=LIMIT)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                return {"failure": f"took more than {LIMIT:.0f} s"}
            raise
        if process.returncode != 0:
            lines = [line for line in errors.splitlines() if line.strip()]
            return {"failure": lines[-1] if lines else f"exit status {process.returncode}"}
        outcome: dict[str, Any] = json.loads(output.splitlines()[-1])
        return outcome

    def _environment(self, entrant: Entrant) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(TUNING)}
        scratch = Path(self._scratch.name)
        return {
            **kept,
            "CUDA_VISIBLE_DEVICES": "",
            "KERAS_HOME": str(scratch / "keras"),
            "TORCHINDUCTOR_CACHE_DIR": str(scratch / "inductor"),
            **entrant.environment(),
        }

    @staticmethod
    def _wait_for_quiet() -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with other_processes() as others:
                time.sleep(1.0)
            if others.value is None or others.value <= DISTURBED:
                return
