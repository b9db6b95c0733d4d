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


class Watching(Noting):
    """A step that notes the sum of its batch in a record too."""

    def __init__(self, plain, record):
        super().__init__(plain.feed.indices.shape[0], plain.total, plain.rows, plain.captured)
        self.feed, self.record = plain.feed, record

    def step(self):
        super().step()
        self.record.copy_(eg.take(self.rows, self.feed.indices).sum().reshape(1))


def watched_session(every, captured=True, watched_captured=True, **given):
    made, kinds, total = session(captured, **given)
    record = eg.zeros(1, dtype="float64")
    watching = [Watching(kind, record) for kind in kinds]
    for kind in watching:
        kind.captured = watched_captured
    made.watch(watching, record, every)
    return made, kinds, watching, total


@pytest.mark.parametrize("captured", [True, False])
@pytest.mark.parametrize("watched_captured", [True, False])
@pytest.mark.parametrize("every", [1, 2, 5, 100])
def test_every_so_many_steps_are_watched(every, captured, watched_captured):
    made, kinds, watching, _ = watched_session(every, captured, watched_captured)
    assert made.is_watched
    made.run(Epochs(2))
    assert made.finished().tolist() == [[21.0]] * 2
    made.run(Steps(2))
    # Sums of the batches 0 1 2, 3 4 5 and 6, epoch after epoch.
    sums = [3.0, 12.0, 6.0, 3.0, 12.0, 6.0, 3.0, 12.0]
    steps, values = made.samples()
    assert steps.tolist() == list(range(0, 8, every))
    assert (steps.dtype, values.tolist()) == (np.int64, [[sums[step]] for step in steps])
    assert made.is_watched == (8 % every == 0)
    steps, values = made.samples()
    assert (steps.shape, values.shape) == ((0,), (0, 0))
    seen = len(range(0, 8, every))
    calls = sum(kind.calls for kind in watching)
    assert calls <= 2 if watched_captured else calls == seen
    plain = sum(kind.calls for kind in kinds)
    assert plain <= 2 if captured else plain == 8 - seen


def test_watching_changes_no_figure():
    results = []
    for every in (None, 1, 3):
        made, _, _, total = watched_session(every or 10**9, shuffle=Generator(5))
        made.run(Epochs(3))
        made.run(Steps(2))
        results.append((made.finished().tolist(), total.item()))
    plain, _, total = session(shuffle=Generator(5))
    plain.run(Epochs(3))
    plain.run(Steps(2))
    assert results == [(plain.finished().tolist(), total.item())] * 3


def test_by_itself_it_watches_the_first_step_and_others_later():
    made, _, _, _ = watched_session(None)
    made.run(Epochs(7000))
    steps, values = made.samples()
    assert (steps[0], len(steps) > 1, len(values)) == (0, True, len(steps))
    assert (np.diff(steps) >= 4).all()
    assert (np.diff(steps) <= 10_000).all()


def test_watched_steps_are_counted_from_where_a_session_begins():
    made, _, _, _ = watched_session(2)
    made.seek(1)
    made.run(Epochs(2))
    steps, values = made.samples()
    assert (steps.tolist(), values.ravel().tolist()) == ([0, 2, 4], [12.0, 3.0, 6.0])


def test_what_was_captured_of_watched_steps_is_forgotten_too():
    made, kinds, watching, _ = watched_session(2)
    made.run(Epochs(4))
    made.forget()
    made.run(Epochs(4))
    assert [kind.calls for kind in kinds + watching] == [2] * 4
    assert made.samples()[0].tolist() == list(range(0, 24, 2))


def test_rows_that_are_loaded_piece_by_piece_are_watched():
    made, _, _, _ = watched_session(2, window=3, load=lambda _: None)
    made.run(Epochs(2))
    assert made.samples()[0].tolist() == [0, 2, 4]


def test_scheduled_values_of_watched_steps_are_computed_too():
    asked = []
    feed, total, record = Feed(1), eg.zeros((), dtype="float64"), eg.zeros((), dtype="float64")

    def capturing(name):
        def step():
            with eg._core.Recording() as recording:
                feed.next()
                eg.accumulate(total, eg.ones(()))
                eg.accumulate(record, eg.ones(()))
            return recording.plan, [lambda steps: asked.append((name, steps))]

        return step

    made = Session([(capturing("plain"), feed)], 6, [total])
    made.watch([capturing("watched")], record, 2)
    made.run(Steps(2))
    asked.clear()
    made.run(Steps(4))
    assert {name for name, _ in asked} == {"plain", "watched"}
    assert all(steps == 4 for _, steps in asked)
    assert record.item() == 6.0


def test_steps_that_bring_batches_see_whether_they_are_watched():
    seen, record = [], eg.zeros(1, dtype="float64")

    def step():
        if len(seen) in (5, 8):
            seen.append(None)
            return False
        seen.append(made.is_watched)
        record.copy_(eg.tensor([float(len(seen))], dtype="float64"))
        return True

    made = Session([(step, None)], None, [])
    made.watch([], record, 2)
    made.run(Epochs(2))
    assert seen == [True, False, True, False, True, None, False, True, None]
    steps, values = made.samples()
    assert (steps.tolist(), values.ravel().tolist()) == ([0, 2, 4, 6], [1.0, 3.0, 5.0, 8.0])


def test_an_error_of_a_watched_step_passes_through_and_the_step_is_watched_again():
    made, _, watching, total = watched_session(2, False, False)
    original, fails = watching[0].step, [True]

    def step():
        if fails.pop() if fails else False:
            raise KeyError("on purpose")
        original()

    watching[0].step = step
    with pytest.raises(KeyError, match="on purpose"):
        made.run(Epochs(1))
    assert made.is_watched
    assert made.run(Epochs(1))
    assert (made.samples()[0].tolist(), total.item()) == ([0, 2], 21.0)


def test_a_watch_that_does_not_fit_is_refused():
    made, kinds, _ = session()
    record = eg.zeros(1, dtype="float64")
    with pytest.raises(ValueError, match="expected 2 functions"):
        made.watch([], record)
    with pytest.raises(ValueError, match="every"):
        made.watch(kinds, record, 0)
    with pytest.raises(TypeError, match="float64"):
        made.watch(kinds, eg.zeros(1))
    with pytest.raises(ValueError, match="expected 0 functions"):
        Session([(lambda: False, None)], None, []).watch([print], record)
    assert not made.is_watched
    assert made.samples()[0].tolist() == []


def test_every_step_leaves_numbers_and_the_rate_and_epochs_their_counts():
    feed, record = Feed(2), eg.zeros(1, dtype="float64")
    each, counts = eg.zeros((), dtype="float32"), eg.zeros(2, dtype="float64")
    rows = eg.tensor([1.0, 2.0, 3.0, 4.0])
    w, gradient = eg.tensor([0.0], requires_grad=True), eg.tensor([1.0])
    optimizer = eg._core.Optimizer("sgd", {"learning_rate": 0.5})

    def step(watched):
        def make():
            with eg._core.Recording() as recording:
                feed.next()
                each.copy_(eg.take(rows, feed.indices).sum())
                optimizer.apply([w], [gradient])
                if watched:
                    eg._core.accumulate(counts, eg.ones(2))
            return recording.plan, [prepare]

        return make

    def prepare(steps):
        optimizer.queue("learning_rate", [float(optimizer.iterations + n) for n in range(steps)])

    made = Session([(step(False), feed)], 4, [])
    made.watch([step(True)], record, 2, [each], optimizer, [counts])
    made.run(Epochs(2))
    begins, course = made.course()
    assert begins == 0
    assert course[:, 0].tolist() == [3.0, 7.0, 3.0, 7.0]
    # The first two were captured, and prepared nothing.
    assert course[2:, 1].tolist() == [2.0, 3.0]
    assert course[:, 2].tolist() == [0.0, 0.0, 1.0, 1.0]
    epochs, steps, values = made.counts()
    assert (epochs.tolist(), steps.tolist(), values.tolist()) == ([0, 1], [1, 1], [[1.0] * 2] * 2)
    made.run(Epochs(1))
    begins, course = made.course()
    assert (begins, len(course), made.counts()[0].tolist()) == (4, 2, [2])
    assert made.course()[1].size == made.counts()[2].size == made.counts()[0].size == 0
    assert counts.tolist() == [0.0, 0.0]
    with pytest.raises(TypeError, match="one floating-point number"):
        made.watch([step(True)], record, 2, [counts])
    with pytest.raises(TypeError, match="float64"):
        made.watch([step(True)], record, 2, [], None, [eg.zeros(2)])
