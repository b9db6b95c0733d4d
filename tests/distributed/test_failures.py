"""Ranks that raise, die or hang: all end with an error, and the next start goes on."""

import contextlib
import os
import signal
import subprocess
import time

import numpy as np
import pytest
from ranks import LIMIT, command, environment, needs_mpi, run_ranks, write

pytestmark = needs_mpi

# Trains slowly enough that something can happen to it, and says where each rank is.
SLOW = """
import time

class Slow(eg.callbacks.Callback):
    all_ranks = True

    def on_epoch_end(self, epoch, logs=None):
        (folder / f"pid{comm.rank}").write_text(str(os.getpid()))
        (folder / f"epoch{comm.rank}").write_text(str(epoch))
        time.sleep(0.02 if epochs > 60 else 0.0)

epochs = int(os.environ.get("EPOCHS", "60"))
adam = eg.optimizers.Adam(0.01)
model = net(L.Dense(16, "tanh"), L.Dropout(0.3), optimizer=adam)
history = model.fit(x, y, batch_size=25, epochs=epochs, verbose=0, comm=comm, callbacks=[Slow()],
                    checkpoint=folder / "run", checkpoint_every="3 steps",
                    resume="auto")
keep("weights", model.get_weights())
bits = [weight.tobytes().hex() for weight in model.get_weights()]
tell(loss=history.history["loss"], epochs=history.epoch, weights=bits)
"""


def started(size, folder, **variables):
    """Start ranks that train for long; return them when each has trained for some epochs."""
    script = write(folder, SLOW)
    process = subprocess.Popen(
        command(size, script, folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(EPOCHS="100000", **variables),
    )
    end = time.monotonic() + LIMIT
    while time.monotonic() < end and process.poll() is None:
        files = [folder / f"epoch{rank}" for rank in range(size)]
        if all(file.exists() and int(file.read_text() or "0") >= 5 for file in files):
            return process
        time.sleep(0.02)
    process.kill()
    raise AssertionError(process.communicate()[0])


def pid_of(folder, rank):
    return int((folder / f"pid{rank}").read_text())


def test_an_error_of_one_rank_is_told_by_all(tmp_path):
    body = """
class Fail(eg.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 2:
            raise ValueError("no room on the plot")

net().fit(x, y, batch_size=25, epochs=5, verbose=0, comm=comm, callbacks=[Fail()])
"""
    run = run_ranks(3, tmp_path, body, check=False)
    assert run.process.returncode != 0
    assert "ValueError: no room on the plot" in run.output
    for rank in (1, 2):
        told = f"rank {rank} of 3: rank 0 has failed, and training cannot go on without it"
        assert f"{told}: ValueError: no room" in run.output


def test_killed_ranks_end_the_launcher_and_the_next_start_goes_on(tmp_path):
    process = started(2, tmp_path)
    os.kill(pid_of(tmp_path, 1), signal.SIGKILL)
    process.communicate(timeout=20)
    assert process.returncode != 0
    reached = int((tmp_path / "epoch0").read_text())
    # With another number of ranks, for as long as the whole would have taken.
    resumed = run_ranks(3, tmp_path, SLOW, EPOCHS=str(reached + 5))
    assert resumed.told()["epochs"] == list(range(reached + 5))
    whole = run_ranks(1, tmp_path / "whole", SLOW, EPOCHS=str(reached + 5))
    np.testing.assert_allclose(resumed.told()["loss"], whole.told()["loss"], rtol=0, atol=1e-12)
    pair = [np.load(path / "weights.npz") for path in (tmp_path, tmp_path / "whole")]
    for key in pair[0].files:
        np.testing.assert_allclose(pair[0][key], pair[1][key], rtol=0, atol=1e-12)


def test_a_rank_that_hangs_is_noticed_at_the_deadline(tmp_path):
    process = started(2, tmp_path, DEADLINE="2")
    stopped = pid_of(tmp_path, 1)
    os.kill(stopped, signal.SIGSTOP)
    began = time.monotonic()
    try:
        output = process.communicate(timeout=20)[0]
    finally:
        # It is gone by now, unless the launcher has failed to end it.
        with contextlib.suppress(ProcessLookupError):
            os.kill(stopped, signal.SIGKILL)
    assert process.returncode != 0
    assert time.monotonic() - began > 1.5
    assert "rank 0 of 2: no answer to all_reduce within 2 seconds" in output


@pytest.mark.parametrize("everybody", [True, False])
def test_a_signal_ends_all_ranks_at_the_same_step_with_a_checkpoint(tmp_path, everybody):
    process = started(2, tmp_path)
    for rank in (0, 1) if everybody else (1,):
        os.kill(pid_of(tmp_path, rank), signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode != 0
    assert (tmp_path / "run").is_dir()
    reached = int((tmp_path / "epoch0").read_text())
    resumed = run_ranks(2, tmp_path, SLOW, EPOCHS=str(reached + 3))
    whole = run_ranks(2, tmp_path / "whole", SLOW, EPOCHS=str(reached + 3))
    assert resumed.told()["weights"] == whole.told()["weights"]
    # Of the epoch that was resumed, the sums are cut in another place.
    np.testing.assert_allclose(resumed.told()["loss"], whole.told()["loss"], rtol=1e-14)


def test_ranks_with_other_data_are_told_apart(tmp_path):
    body = "net().fit(x + comm.rank, y, batch_size=25, verbose=0, comm=comm)"
    run = run_ranks(2, tmp_path, body, check=False)
    assert run.process.returncode != 0
    assert "ranks train different things: x: shape (103, 7)" in run.output


def test_a_checkpoint_that_cannot_be_written_ends_all_ranks(tmp_path):
    body = """
from evengrad.training import _checkpoint_folder

def full(*arguments, **named):
    raise OSError(28, "No space left on device")

_checkpoint_folder.CheckpointFolder.write = full
net().fit(x, y, batch_size=25, verbose=0, comm=comm, checkpoint=folder / "run")
"""
    run = run_ranks(2, tmp_path, body, check=False)
    assert run.process.returncode != 0
    assert run.output.count("rank 0 has failed, and all end: OSError: [Errno 28]") >= 2
