"""A training that is interrupted over and over, in processes of its own; run as a script.

    python interrupted_training.py FOLDER SIGNAL INTERRUPTIONS SEED

The parent trains once without interruption. Then it starts the same training again and again, each
time in a forked child that goes on from the folder's newest checkpoint, and sends it the signal at
a random moment, until it has done so often enough and lets the training end. It prints whether all
that came out has the same bits, and how often a child was interrupted.
"""

import contextlib
import os
import random
import signal
import sys
import time
import traceback

import numpy as np

import evengrad as eg
from evengrad import callbacks, layers, optimizers

EPOCHS, ROWS, BATCH = 40, 230, 16


def data():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(ROWS + 60, 6)).astype("float32")
    y = (x[:, 0] * x[:, 1] > 0).astype("int64")
    return (x[:ROWS], y[:ROWS]), (x[ROWS:], y[ROWS:])


# Made before children are forked: an interrupted import is no KeyboardInterrupt.
DATA = data()


def train(checkpoint, out):
    """Train with all that has a state, and write down what came out."""
    (x, y), validation = DATA
    model = eg.Sequential(
        [
            eg.Input((6,)),
            layers.Dense(24, "elu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(24, "elu"),
            layers.GaussianNoise(0.1),
            layers.Dense(2),
        ],
        seed=11,
    )
    rate = optimizers.schedules.ExponentialDecay(0.02, 50, 0.9)
    optimizer = optimizers.Nadam(rate, use_ema=True, ema_momentum=0.9, clipnorm=1.0)
    model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
    stop = callbacks.EarlyStopping(patience=EPOCHS, restore_best_weights=True)
    keep = {} if checkpoint is None else {"checkpoint": checkpoint, "checkpoint_every": "5 steps"}
    history = model.fit(
        x,
        y,
        batch_size=BATCH,
        epochs=EPOCHS,
        validation_data=validation,
        verbose=0,
        callbacks=[callbacks.SwapEMAWeights(), stop],
        **keep,
    )
    # Writing down is no part of what is tested.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    slots = [slot.numpy() for w in model.trainable_weights for slot in optimizer.slots(w).values()]
    figures = [np.array(column) for column in history.history.values()]
    results = [*model.get_weights(), *slots, *figures, model.predict(x), np.array(history.epoch)]
    np.savez(f"{out}.part.npz", *results)
    os.replace(f"{out}.part.npz", out)


def in_child(checkpoint, out, threads):
    """Fork a child that trains; return its number."""
    child = os.fork()
    if child == 0:
        try:
            eg.set_num_threads(threads)
            train(checkpoint, out)
            os._exit(0)
        except KeyboardInterrupt:
            os._exit(3)
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(4)
    return child


def main():
    folder, name, count, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    number = getattr(signal, name)
    # Shells have what they start in the background ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    moments = random.Random(seed)
    whole, resumed = f"{folder}/whole.npz", f"{folder}/resumed.npz"
    # NumPy imports its generators when they are first asked for: not while a signal may come.
    data()
    started = time.perf_counter()
    os.waitpid(in_child(None, whole, 1), 0)
    took = time.perf_counter() - started
    interrupted, ways = 0, set()
    while not os.path.exists(resumed):
        child = in_child(f"{folder}/ck", resumed, moments.choice((1, 2)))
        if interrupted < count:
            time.sleep(moments.uniform(0.0, 0.25 * took + 0.05))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)
        _, status = os.waitpid(child, 0)
        if os.path.exists(resumed) and interrupted < count and os.WIFEXITED(status):
            # It came to its end before enough interruptions: begin anew.
            os.unlink(resumed)
            for file in os.listdir(f"{folder}/ck"):
                os.unlink(f"{folder}/ck/{file}")
            continue
        interrupted += not (os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0)
        ways.add(-os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
    first, second = np.load(whole), np.load(resumed)
    same = first.files == second.files and all(
        first[f].tobytes() == second[f].tobytes() for f in first.files
    )
    # For the test to read.
    print("same" if same else "differs", interrupted, sorted(ways), os.listdir(f"{folder}/ck"))


if __name__ == "__main__":
    main()
