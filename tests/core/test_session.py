"""The native session: where it returns, what it calls, and what it refuses."""

import numpy as np
import pytest

import evengrad as eg
from evengrad._core import Epochs, Feed, Generator, Seconds, Session, Steps


class Noting:
    """A step that notes the rows of its batches, captured or not."""

    def __init__(self, size, total, rows, captured=True):
        self.feed, self.total, self.captured = Feed(size), total, captured
        self.rows = rows
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if not self.captured:
            self.step()
            return None
        with eg._core.Recording() as recording:
            self.step()
        return recording.plan, []

    def step(self):
        self.feed.next()
        eg.accumulate(self.total, eg.take(self.rows, self.feed.indices).sum())


def session(captured=True, shuffle=None, **given):
    total = eg.zeros((), dtype="float64")
    rows = eg.tensor(np.arange(7.0))
    kinds = [Noting(3, total, rows, captured), Noting(1, total, rows, captured)]
    made = Session([(kind, kind.feed) for kind in kinds], 7, [total], shuffle, **given)
    return made, kinds, total


@pytest.mark.parametrize("captured", [True, False])
def test_it_returns_where_it_is_told(captured):
    made, kinds, total = session(captured)
    assert (made.steps_per_epoch, made.step) == (3, 0)
    assert not made.run(Steps(1))
    assert (made.step, total.item()) == (1, 3.0)
    assert made.run(Steps(99))
    assert (made.step, made.last_epoch_steps, total.item()) == (0, 3, 21.0)
    assert made.run(Epochs(4))
    assert made.finished().tolist() == [[21.0]] * 4
    assert not made.run(Seconds(0.0))
    assert made.step == 1
    assert not made.run(Seconds(60.0, 1))
    assert made.run(Seconds(60.0))
    assert [kind.calls for kind in kinds] == ([1, 1] if captured else [12, 6])


def test_what_was_captured_is_forgotten():
    made, kinds, _ = session()
    made.run(Epochs(2))
    made.forget()
    made.run(Epochs(2))
    assert [kind.calls for kind in kinds] == [2, 2]
    assert made.finished().tolist() == [[21.0]] * 2


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_it_goes_to_any_step(step):
    whole, _, total = session(shuffle=Generator(5))
    whole.run(Steps(step)) if step else None
    begun = total.item() if step != 3 else 21.0
    other, _, rest = session(shuffle=Generator(5))
    other.seek(step)
    other.run(Epochs(1))
    assert begun + rest.item() == 21.0
    with pytest.raises(ValueError, match="no step 4"):
        other.seek(4)


@pytest.mark.parametrize("captured", [True, False])
def test_limited_epochs_go_on_in_the_order_and_limited_orders_leave_rows_out(captured):
    made, _, total = session(captured)
    made.limit(epoch=2)
    assert (made.steps_per_epoch, made.epoch_start, made.order_draw) == (2, 0, None)
    made.run(Epochs(1))
    assert (made.steps_per_epoch, made.epoch_start, made.order_draw) == (1, 2, 0)
    made.run(Epochs(3))
    assert made.finished().tolist() == [[6.0], [15.0], [6.0]]
    made.limit(order=2)
    made.seek(1)
    made.run(Epochs(2))
    assert made.finished().tolist() == [[12.0], [15.0]]
    made.limit(epoch=1, order=2)
    made.seek(0, 1)
    made.run(Epochs(2))
    assert made.finished().tolist() == [[12.0], [3.0]]
    assert total.item() == 3.0
    for step, epoch_start in [(2, 1), (0, 2)]:
        with pytest.raises(ValueError, match="has no step"):
            made.seek(step, epoch_start)
    with pytest.raises(ValueError, match="one step or more"):
        made.limit(epoch=0)
    with pytest.raises(ValueError, match="of rows alone"):
        Session([(lambda: False, None)], None, []).limit(epoch=1)


@pytest.mark.parametrize("captured", [True, False])
def test_stopped_it_makes_one_step_and_has_ended_nothing(captured):
    made, _, _ = session(captured)
    made.stop()
    assert made.stopped
    assert not made.run(Epochs(1))
    assert made.step == 1
    assert not made.run(Steps(5))
    assert made.step == 2


def test_a_step_may_stop_it():
    made, kinds, _ = session(captured=False)
    original = kinds[0].step

    def step():
        original()
        made.stop()

    kinds[0].step = step
    assert not made.run(Epochs(5))
    assert made.step == 1


def test_scheduled_values_are_computed_for_the_steps_to_come():
    asked = []
    feed, total = Feed(2), eg.zeros((), dtype="float64")

    def step():
        with eg._core.Recording() as recording:
            feed.next()
            eg.accumulate(total, eg.ones(()))
        return recording.plan, [asked.append]

    made = Session([(step, feed)], 6, [total])
    made.run(Steps(1))
    assert asked == []
    made.run(Steps(2))
    assert asked == [2]
    made.run(Epochs(1))
    assert asked[1] >= 3


def test_an_epoch_is_in_progress_as_soon_as_its_order_is_drawn():
    generator, asked = Generator(5), []

    def prepare(steps):
        asked.append(steps)
        if len(asked) == 2:
            made.stop()

    total = eg.zeros((), dtype="float64")

    def kind(size):
        feed = Feed(size)

        def step():
            with eg._core.Recording() as recording:
                feed.next()
                eg.accumulate(total, eg.ones(()))
            return recording.plan, [prepare]

        return step, feed

    made = Session([kind(2), kind(1)], 5, [total], generator)
    made.run(Steps(3))
    assert made.order_draw is None
    # It is stopped while values are computed for the first steps, which are made all the same.
    made.run(Epochs(1))
    assert (made.order_draw, generator.draws) == (1, 2)
    assert made.step > 0


def test_an_epoch_whose_steps_are_done_is_noted_also_where_it_is_stopped():
    feed, total = Feed(2), eg.zeros((), dtype="float64")

    def step():
        with eg._core.Recording() as recording:
            feed.next()
            eg.accumulate(total, eg.ones(()))
        return recording.plan, []

    made = Session([(step, feed)], 4, [total])
    made.run(Epochs(1))
    made.stop()
    made.run(Epochs(5))
    assert (made.finished().tolist(), made.step) == ([[2.0]], 0)


def test_rows_are_loaded_piece_by_piece():
    loaded = []
    made, _, _ = session(window=3, load=lambda rows: loaded.append(rows.tolist()))
    made.run(Epochs(1))
    assert loaded == [[0, 1, 2], [3, 4, 5], [6]]


def test_batches_of_the_host_end_where_it_says_so():
    left = [True, True, False, True, False]
    made = Session([(lambda: left.pop(0), None)], None, [])
    assert made.run(Epochs(1))
    assert made.last_epoch_steps == 2
    assert not made.run(Steps(1))
    assert made.run(Steps(5))
    assert (left, made.last_epoch_steps) == ([], 1)


def test_an_error_of_a_step_passes_through_and_the_session_goes_on():
    made, kinds, total = session(captured=False)
    original, fails = kinds[0].step, [True]

    def step():
        if fails.pop() if fails else False:
            raise KeyError("on purpose")
        original()

    kinds[0].step = step
    with pytest.raises(KeyError, match="on purpose"):
        made.run(Epochs(1))
    assert made.step == 0
    assert made.run(Epochs(1))
    assert total.item() == 21.0


@pytest.mark.parametrize(
    ("until", "error"), [(3, TypeError), (None, TypeError), (Epochs, TypeError)]
)
def test_what_is_no_end_is_refused(until, error):
    with pytest.raises(error, match="until"):
        session()[0].run(until)


def test_seconds_are_checked():
    with pytest.raises(ValueError, match="seconds"):
        Seconds(-1.0)


def test_rows_without_a_batch_are_refused():
    feed = Feed(2)
    with pytest.raises(ValueError, match="1 of 5 rows"):
        Session([(lambda: None, feed)], 5, [])
    with pytest.raises(TypeError, match="rows"):
        Session([(lambda: None, feed)], None, [])
    with pytest.raises(TypeError, match="float64"):
        Session([(lambda: None, feed)], 4, [eg.zeros(())])
