"""How a process was started, by the variables that launchers leave."""

import pytest

from evengrad.distributed import Communicator, DistributedError, init
from evengrad.distributed._launcher import Launch, check_size, launch_of


@pytest.mark.parametrize("name", ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE"])
def test_launchers_say_how_many_ranks_there_are(name):
    assert launch_of({name: "3"}).size == 3


def test_a_process_by_itself_has_no_launcher():
    # As `python` within an allocation of Slurm, whose batch script has these.
    alone = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"}
    assert launch_of({}) is launch_of(alone) is None


def test_srun_with_pmix_says_how_many_tasks_there_are():
    step = {"PMIX_RANK": "0", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4"}
    assert launch_of(step).size == 4
    assert launch_of({"PMIX_RANK": "0"}).size is None


def test_srun_without_mpi_is_an_error():
    with pytest.raises(DistributedError, match=r"4 tasks without an MPI.*--mpi=pmi"):
        launch_of({"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4"})
    assert launch_of({"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1"}) is None


def test_another_mpi_than_the_launchers_is_an_error():
    check_size(Launch(2, "mpirun"), 2, "MPICH")
    check_size(Launch(None, "prun"), 5, "MPICH")
    with pytest.raises(DistributedError, match=r"mpirun has started 2 ranks.*sees 1.*MPICH"):
        check_size(Launch(2, "mpirun"), 1, "MPICH")


def test_without_a_launcher_there_is_one_rank(monkeypatch):
    for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "SLURM_STEP_ID"):
        monkeypatch.delenv(name, raising=False)
    comm = init(timeout=1)
    assert type(comm) is Communicator
    assert (comm.rank, comm.size) == (0, 1)


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), "soon"])
def test_deadlines_are_above_zero(timeout):
    with pytest.raises((TypeError, ValueError), match="timeout"):
        init(timeout)
