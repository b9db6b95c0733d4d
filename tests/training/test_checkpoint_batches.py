"""Iterables of batches in a resumed training: by their state, or by skipping."""

import logging

import numpy as np
import pytest
from checkpoint_checks import StopAt, X, Y, bits, net


class Loader:
    """Batches in an order of their own that is part of the state."""

    def __init__(self, with_state):
        self.rng = np.random.default_rng(4)
        self.at, self.order = 0, None
        if with_state:
            self.state_dict = lambda: {
                "rng": {k: v for k, v in self.rng.bit_generator.state.items() if k != "state"}
                | {"inner": {k: str(v) for k, v in self.rng.bit_generator.state["state"].items()}},
                "at": self.at,
                "order": self.order,
            }
            self.load_state_dict = self.take_over

    def take_over(self, state):
        rng = dict(state["rng"])
        inner = {k: int(v) for k, v in rng.pop("inner").items()}
        self.rng.bit_generator.state = {**rng, "state": inner}
        self.at, self.order = state["at"], state["order"]

    def __len__(self):
        return 6

    def __iter__(self):
        if self.order is None:
            self.order = self.rng.permutation(48)
        while self.at < 6:
            rows = self.order[self.at * 8 : self.at * 8 + 8]
            self.at += 1
            yield X[rows], Y[rows]
        self.at, self.order = 0, None


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("stop", [9, 12, 15])
def test_iterables_with_state_go_on_by_it(tmp_path, built, stop):
    whole = net(built=built)
    expected = bits(whole, whole.fit(Loader(True), epochs=4, verbose=0))
    keep = {"checkpoint": tmp_path, "checkpoint_every": "3 steps"}
    with pytest.raises(KeyboardInterrupt):
        net(built=built).fit(Loader(True), epochs=4, verbose=0, callbacks=[StopAt(stop)], **keep)
    again = net(built=built)
    assert bits(again, again.fit(Loader(True), epochs=4, verbose=0, **keep)) == expected


def stream():
    rng = np.random.default_rng(8)
    while True:
        rows = rng.integers(0, 50, 8)
        yield X[rows], Y[rows]


def test_iterators_go_on_by_skipping_which_is_said(tmp_path, caplog):
    whole = net()
    expected = bits(whole, whole.fit(stream(), epochs=4, steps_per_epoch=5, verbose=0))
    keep = {"checkpoint": tmp_path, "checkpoint_every": "2 steps"}
    with pytest.raises(KeyboardInterrupt):
        net().fit(stream(), epochs=4, steps_per_epoch=5, verbose=0, callbacks=[StopAt(13)], **keep)
    again = net()
    with caplog.at_level(logging.INFO, "evengrad"):
        history = again.fit(stream(), epochs=4, steps_per_epoch=5, verbose=0, **keep)
    assert bits(again, history) == expected
    assert "skipping 12 batches" in caplog.text


def test_a_list_like_of_batches_goes_on_within_an_epoch(tmp_path):
    class Batches:
        def __iter__(self):
            return iter([(X[i : i + 8], Y[i : i + 8]) for i in range(0, 48, 8)])

    whole = net()
    expected = bits(whole, whole.fit(Batches(), epochs=3, verbose=0))
    keep = {"checkpoint": tmp_path, "checkpoint_every": "4 steps"}
    with pytest.raises(KeyboardInterrupt):
        net().fit(Batches(), epochs=3, verbose=0, callbacks=[StopAt(11)], **keep)
    again = net()
    assert bits(again, again.fit(Batches(), epochs=3, verbose=0, **keep)) == expected


def test_an_iterable_that_shuffles_by_itself_is_begun_once(tmp_path):
    class Shuffles:
        def __init__(self):
            self.rng = np.random.default_rng(3)

        def __iter__(self):
            order = self.rng.permutation(48)
            for at in range(0, 48, 8):
                yield X[order[at : at + 8]], Y[order[at : at + 8]]

    plain, kept = net(), net()
    expected = bits(plain, plain.fit(Shuffles(), epochs=3, verbose=0))
    assert bits(kept, kept.fit(Shuffles(), epochs=3, verbose=0, checkpoint=tmp_path)) == expected
