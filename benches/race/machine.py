"""The machine under the race: processor, cores, and its hardware ceilings at this moment."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from measure import other_processes


def cores(wanted: int | None) -> list[int]:
    """Return the cores to race on, the first of those that this process may use, and stay on them.

    Where a system cannot tie processes to cores, all count.
    """
    if not hasattr(os, "sched_setaffinity"):
        return list(range(wanted or os.cpu_count() or 1))
    available = sorted(os.sched_getaffinity(0))
    chosen = available[: wanted or len(available)]
    # The children inherit it.
    os.sched_setaffinity(0, chosen)
    return chosen


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def describe(chosen: list[int]) -> dict[str, Any]:
    """Return the facts about the machine that figures depend on."""
    return {
        "processor": processor(),
        "cores": chosen,
        "cores_of_machine": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }


def ceilings(program: Path | None) -> dict[str, Any] | None:
    """Return what the machine can do now, as `benches/ceilings.rs` measures it.

    To that comes ``others``, the share of a core that other processes took meanwhile.
    """
    if program is None:
        return None
    with other_processes() as others:
        answer = subprocess.run([program], capture_output=True, check=True, text=True)
    measured: dict[str, Any] = json.loads(answer.stdout)
    return {**measured, "others": others.value}


def show_ceilings(measured: dict[str, Any]) -> str:
    """Return the ceilings in one line, with what others took meanwhile."""
    multiply_adds, triad = measured["fma_gflops"], measured["triad_gbs"]
    scaling = multiply_adds["all"] / multiply_adds["one"]
    line, write = measured["line_ns"], measured["write_line_ns"]
    lines = "no second core"
    if line is not None:
        lines = (
            f"a cache line passed in {line:.0f} ns (of many, written in {write['read']:.1f} ns "
            f"after another core read it, in {write['written']:.1f} after it wrote it)"
        )
    taken = f"{measured['others'] or 0.0:.0%} of a core taken by others"
    return (
        f"{multiply_adds['one']:.0f} GFLOP/s on one thread, {multiply_adds['all']:.0f} on "
        f"{measured['threads']} ({scaling:.2f}×), triad {triad['one']:.1f} and {triad['all']:.1f} "
        f"GB/s, {lines}, {taken}"
    )
