"""What the variables of a launcher tell: whether there is one, and how many ranks it started."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from evengrad.distributed._communicator import DistributedError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Variables in which launchers leave the number of ranks, and what starts them: MPICH, Intel MPI and
# Slurm's PMI; Open MPI; MVAPICH.
SIZES = {"PMI_SIZE": "mpiexec of MPICH or Intel MPI", "OMPI_COMM_WORLD_SIZE": "mpirun of Open MPI"}
# What a launcher leaves that speaks PMIx, which tells no size by itself.
PMIX = "PMIX_RANK"
# Slurm's numbers of a step that srun has started: a plain process within an allocation has none.
STEP, STEP_TASKS = "SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS"


class Launch(NamedTuple):
    """How this process was started along with others."""

    # None where the launcher does not say.
    size: int | None
    launcher: str


def launch_of(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """Return how this process was started; None without a launcher, also within an allocation.

    Raises a DistributedError where Slurm has started several tasks that know nothing of each other.
    """
    for name, launcher in SIZES.items():
        if name in environment:
            return Launch(int(environment[name]), launcher)
    if PMIX in environment:
        tasks = environment.get(STEP_TASKS, "")
        return Launch(int(tasks) if tasks.isdecimal() else None, "a launcher that speaks PMIx")
    tasks = environment.get(STEP_TASKS, "1")
    if STEP in environment and tasks.isdecimal() and int(tasks) > 1:
        raise DistributedError(
            f"init: srun has started {tasks} tasks without an MPI, so that each would train by "
            "itself; pass srun --mpi=pmi2 or --mpi=pmix (srun --mpi=list names those there are)"
        )
    return None


def check_size(launch: Launch, size: int, library: str) -> None:
    """Raise a DistributedError where the library does not see the ranks of the launcher."""
    if launch.size is not None and launch.size != size:
        raise DistributedError(
            f"init: {launch.launcher} has started {launch.size} ranks, and the MPI that mpi4py "
            f"loads sees {size} ({library}): they are different MPIs. Start with the mpiexec of "
            "the MPI that mpi4py was built for, or install mpi4py for the launcher's"
        )
