"""The communicator of this process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from evengrad import _core
from evengrad._common.advice import advise
from evengrad._common.checks import check_float
from evengrad.distributed._communicator import Communicator, DistributedError
from evengrad.distributed._launcher import check_size, launch_of

if TYPE_CHECKING:
    from evengrad.distributed._mpi import MPICommunicator

# What says how many threads there are to be: then it is not ours to share the cores.
LIMITS = ("EVENGRAD_NUM_THREADS", "RAYON_NUM_THREADS", "OMP_NUM_THREADS")

_made: list[MPICommunicator] = []


def init(timeout: float = 60.0) -> Communicator:
    """Return the communicator of the ranks that were started together.

    Under ``mpiexec``, ``mpirun`` or ``srun`` these are the ranks of MPI, by mpi4py; without a
    launcher there is one, and mpi4py is not imported. So the same script runs either way. Ranks of
    one host share its cores, unless a variable such as ``EVENGRAD_NUM_THREADS`` says how many
    threads each has. A second call returns the same communicator.

    An error that a rank does not catch ends all of them: it is shown, the others hear of it and
    show it too, and the launcher ends with a status that is not 0.

    Parameters
    ----------
    timeout
        Seconds that any call waits for the other ranks.

    Raises
    ------
    DistributedError
        The launcher belongs to another MPI than mpi4py does, so that each rank would train alone.
    ImportError
        mpi4py, or the MPI that it loads, is missing: ``pip install 'evengrad[mpi]'``.
    ValueError
        A `timeout` that is not above 0.

    Examples
    --------
    >>> comm = eg.distributed.init()
    >>> comm.rank, comm.size
    (0, 1)
    """
    timeout = check_float(timeout, "timeout", low=0.0, open_low=True)
    if _made:
        _made[0].timeout = timeout
        return _made[0]
    launch = launch_of()
    if launch is None:
        return Communicator()
    try:
        from mpi4py import MPI

        from evengrad.distributed._mpi import MPICommunicator
    except (ImportError, RuntimeError) as error:
        raise ImportError(
            f"init: {launch.launcher} has started this process, and MPI cannot be loaded "
            f"({error}): pip install 'evengrad[mpi]', or mpi4py for the MPI that is installed"
        ) from error
    library = MPI.Get_library_version().split("\n", maxsplit=1)[0].strip("\0 ")
    check_size(launch, MPI.COMM_WORLD.size, library)
    if MPI.COMM_WORLD.size == 1:
        return Communicator()
    if MPI.Query_thread() < MPI.THREAD_SERIALIZED:
        raise DistributedError(
            f"init: {library} was started for one thread alone; let mpi4py start it, as it does "
            "when nothing has called MPI_Init before"
        )
    comm = MPICommunicator(timeout)
    _made.append(comm)
    _share_cores(comm)
    return comm


def _share_cores(comm: MPICommunicator) -> None:
    """Give each rank of this host its share of the cores."""
    threads = _core.get_num_threads()
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(threads))
    every = comm.gather((comm.host, own))
    if any(os.environ.get(name) for name in LIMITS):
        if len(own) < threads:
            advise(
                "rank %d has %d threads and is pinned to %d cores: they take turns; pass the "
                "launcher --bind-to none, or fewer threads",
                comm.rank,
                threads,
                len(own),
            )
        return
    here = [cores for host, cores in every if host == comm.host]
    # Launchers that pin ranks have shared the cores already.
    share = len(set().union(*here)) // len(here)
    _core.set_num_threads(max(1, min(threads, len(own), share)))
