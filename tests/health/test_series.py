"""Series of what was observed: bounded, and knowing since when units are dead."""

import numpy as np

from evengrad.health._examination import MEASURES, LayerFacts, Lives, Observed, TrainingFacts
from evengrad.health._series import MOST_SAMPLES, MOST_STEPS, ROWS_TO_DIE, Course, Series

LAYERS = (LayerFacts("first", "Dense", "relu", units=4), LayerFacts("end", "Dense", head=True))
TRAINING = TrainingFacts("SGD", 0.1, "MeanSquaredError", 32)


def observed(steps, epoch=0, lived=None, rows=ROWS_TO_DIE):
    steps = np.asarray(steps)
    figures = {name: np.zeros((len(steps), 2)) for name in MEASURES}
    for name in ("epoch", "loss", "learning_rate", "gradient_norm", "clipped"):
        figures[name] = np.full(len(steps), float(epoch))
    figures["step"] = steps
    counts = [] if lived is None else [Lives(epoch, rows, [np.asarray(lived, float), None])]
    course = {name: figures[name] for name in ("step", "epoch", "loss", "learning_rate")}
    begins = int(steps[0]) if len(steps) else 0
    return Observed(LAYERS, TRAINING, None, figures, counts, course, begins, epoch, {"loss": [1.0]})


def test_samples_stay_within_bounds_and_keep_both_ends():
    series = Series()
    for begin in range(0, 10 * MOST_SAMPLES, 500):
        series.add(observed(range(begin, begin + 500)))
        assert len(series) <= MOST_SAMPLES
    examination = series.examination()
    assert examination.steps[0] == 0
    assert examination.steps[-1] == begin + 499
    assert (np.diff(examination.steps) > 0).all()
    assert examination.measures["speed"].shape == (len(series), 2)


def test_units_die_in_the_epoch_in_which_no_row_was_active_and_may_come_back():
    series = Series()
    series.add(observed([0], epoch=0, lived=[3, 0, 1, 2]))
    assert series.dead_since["first"].tolist() == [-1, 0, -1, -1]
    series.add(observed([1], epoch=1, lived=[3, 0, 0, 2]))
    assert series.dead_since["first"].tolist() == [-1, 0, 1, -1]
    series.add(observed([2], epoch=2, lived=[0, 5, 0, 2]))
    assert series.dead_since["first"].tolist() == [2, -1, 1, -1]
    dead = series.examination().measures["dead"]
    np.testing.assert_array_equal(dead[:, 0], [0.25, 0.5, 0.5])
    assert np.isnan(dead[:, 1]).all()


def test_few_rows_say_nothing_of_death():
    series = Series()
    series.add(observed([0], lived=[0, 0, 1, 1], rows=ROWS_TO_DIE // 2))
    assert series.dead_since == {}
    assert np.isnan(series.examination().measures["dead"]).all()
    series.add(observed([1], lived=[1, 0, 0, 0], rows=ROWS_TO_DIE // 2))
    assert series.dead_since["first"].tolist() == [-1, 0, -1, -1]


def test_what_was_left_behind_is_forgotten():
    series = Series()
    series.add(observed([0, 5, 10]))
    series.go_back(5)
    series.add(observed([5, 8]))
    assert series.examination().steps.tolist() == [0, 5, 8]
    assert series.as_dict()["step"].tolist() == [0, 5, 8]
    series.go_back(0)
    assert series.examination() is None


def test_several_epochs_that_are_heard_of_at_once_bury_units_in_their_own():
    series = Series()
    several = observed([0, 5, 10, 15], lived=[1, 1, 1, 1])
    several.figures["epoch"] = np.array([0, 1, 2, 3])
    alive = [[1, 1, 1, 1], [1, 0, 1, 1], [1, 0, 0, 1]]
    several.lived = [
        Lives(epoch, ROWS_TO_DIE, [np.asarray(one, float), None])
        for epoch, one in zip([0, 1, 3], alive, strict=True)
    ]
    series.add(several)
    assert series.dead_since["first"].tolist() == [-1, 1, 3, -1]
    dead = series.examination().measures["dead"][:, 0]
    np.testing.assert_array_equal(dead, [0.0, 0.25, 0.25, 0.5])


def test_every_step_is_kept_within_bounds_evenly_apart():
    course, chunk = Course(), 1000
    for begin in range(0, 5 * MOST_STEPS, chunk):
        numbers = np.arange(begin, begin + chunk)
        course.add(begin, {"step": numbers, "loss": numbers / 2})
    steps = course.columns["step"]
    assert MOST_STEPS // 2 < len(steps) <= MOST_STEPS
    assert set(np.diff(steps)) == {course.stride} == {8}
    assert (steps[0], steps[-1] + 8 > begin + chunk - 1) == (0, True)
    np.testing.assert_array_equal(course.columns["loss"], steps / 2)
