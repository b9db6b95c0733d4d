"""What the compiled module adds to the core beside tensors: plans, feeds, signals, options."""

import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from evengrad import _core


@pytest.fixture
def counter():
    """Return a plan that adds one to a state, and the state."""
    total, one = _core.zeros((), dtype="float64"), _core.ones((), dtype="float64")
    with _core.Recording() as recording:
        _core.accumulate(total, one)
    return recording.plan, total


def test_a_replay_runs_whole_steps(counter):
    plan, total = counter
    plan.replay(9)
    plan.replay()
    plan.replay(0)
    assert (total.item(), plan.steps_done) == (11.0, 10)
    facts = plan.describe()
    keys = {"launches", "chains", "phases", "barriers", "flops", "bytes", "memory", "threads"}
    assert set(facts) == keys
    assert facts["launches"] == 1
    assert "accumulate" in plan.explain()
    assert repr(plan).startswith("Plan(launches=1,")
    for steps in (-1, 1.5, "1"):
        with pytest.raises((TypeError, OverflowError)):
            plan.replay(steps)


def test_ctrl_c_ends_a_replay_after_whole_steps(counter):
    plan, total = counter
    main = threading.main_thread()
    assert threading.current_thread() is main
    timer = threading.Timer(0.3, signal.pthread_kill, (main.ident, signal.SIGINT))
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        plan.replay(10**12)
    assert time.monotonic() - start < 1.3
    assert 0 < plan.steps_done < 10**12
    assert total.item() == plan.steps_done + 1


def test_a_signal_handler_may_use_the_plan(counter):
    plan, total = counter
    seen = []

    def handler(_number, _frame):
        plan.replay(5)
        seen.append(total.item())
        raise ZeroDivisionError

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(ZeroDivisionError):
            plan.replay(10**12)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert seen == [plan.steps_done + 1]


def test_threads_share_a_plan(counter):
    plan, total = counter
    threads = [threading.Thread(target=plan.replay, args=(1000,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (total.item(), plan.steps_done) == (4001.0, 4000)


def test_captures_do_not_nest():
    x = _core.ones(2)
    with _core.Recording() as outer:
        with pytest.raises(RuntimeError, match="already"), _core.Recording():
            pass
        assert _core.is_capturing()
        x * 2.0
    assert not _core.is_capturing()
    assert outer.plan.describe()["launches"] == 1


def test_a_feed_gives_its_batches_to_replays():
    x = _core.tensor([[1.0], [2.0], [4.0], [8.0], [16.0], [32.0]])
    total = _core.zeros(())
    feed = _core.Feed(2)
    feed.load(np.array([5, 0, 1, 2, 3, 4], dtype=np.int32))
    with _core.Recording() as recording:
        feed.next()
        _core.accumulate(total, x[feed.indices].sum())
    plan = recording.plan
    assert (total.item(), feed.remaining) == (33.0, 2)
    plan.replay(2)
    assert (total.item(), feed.remaining) == (63.0, 0)
    with pytest.raises(RuntimeError, match="epoch"):
        plan.replay()
    assert plan.steps_done == 2
    with pytest.raises(ValueError, match="multiple"):
        feed.load([1, 2, 3])
    with pytest.raises(TypeError, match="order"):
        feed.load([0.5, 1.5])
    with pytest.raises(ValueError, match="batch size"):
        _core.Feed(0)


def test_numbers_in_a_captured_step_stay(counter):
    del counter
    x, out = _core.tensor([1.0, 2.0]), _core.zeros(2)
    with _core.Recording() as recording:
        out.copy_(x * 3.0 + np.array([1.0, 1.0], dtype=np.float32))
    x.copy_([5.0, 6.0])
    recording.replay()
    assert out.tolist() == [16.0, 19.0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: _core.Optimizer("adma"), ["rule", '"adam", "sgd"', 'did you mean "adam"?']),
        (lambda: _core.Optimizer("SGD"), ['did you mean "sgd"?']),
        (lambda: _core.Optimizer("adam", {"beta1": 0.9}), ["adam", 'did you mean "beta_1"?']),
        (lambda: _core.Optimizer("sgd", {"lr": 1.0}), ["sgd", '"learning_rate"']),
        (lambda: _core.Optimizer("sgd", {"convention": "pytorch"}), ['did you mean "torch"?']),
        (lambda: _core.Optimizer("adam").get("epsilno"), ['did you mean "epsilon"?']),
        (lambda: _core.Optimizer("adam").queue("beta", [0.5]), ['did you mean "beta_1"?']),
        (
            lambda: _core.dense(_core.zeros((1, 1)), _core.zeros((1, 1)), activation="rleu"),
            ["activation", 'did you mean "relu"?'],
        ),
        (
            lambda: _core.mse_loss(_core.zeros(1), _core.zeros(1), reduction="avg"),
            ["reduction", '"mean", "sum", "none"'],
        ),
        (
            lambda: _core.cross_entropy(_core.zeros((1, 2)), [0], reduction="means"),
            ['did you mean "mean"?'],
        ),
    ],
)
def test_mistyped_names_are_answered(call, words):
    with pytest.raises(ValueError, match="expected one of") as caught:
        call()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "settings"),
    [("sgd", {"learning_rate": "fast"}), ("sgd", {"nesterov": 1.5}), ("adam", {"convention": 3})],
)
def test_settings_have_types(rule, settings):
    with pytest.raises(TypeError, match=next(iter(settings))):
        _core.Optimizer(rule, settings)
    kept = dict(settings)
    with pytest.raises(TypeError):
        _core.Optimizer(rule, settings)
    assert settings == kept


def test_an_optimizer_checks_before_it_changes():
    w = _core.tensor([1.0, 2.0], requires_grad=True)
    sgd = _core.Optimizer("sgd", {"learning_rate": 1.0, "momentum": 0.5})
    for parameters, gradients, error in [
        ([w], [], ValueError),
        ([w], [_core.zeros(3)], ValueError),
        ([w, w * 2.0], [_core.ones(2), _core.ones(2)], ValueError),
        ([w], [None], TypeError),
        (w, [_core.ones(2)], ValueError),
    ]:
        with pytest.raises(error):
            sgd.apply(parameters, gradients)
    assert (w.tolist(), sgd.iterations) == ([1.0, 2.0], 0)
    sgd.apply([w], [_core.ones(2)])
    assert (w.tolist(), sgd.iterations) == ([0.0, 1.0], 1)
    [momentum] = sgd.slots(w)
    assert momentum.tolist() == [-1.0, -1.0]
    assert repr(sgd).startswith("Optimizer(sgd, learning_rate=1")


def test_generators_are_their_count():
    one, two = _core.Generator(3, 4), _core.Generator(3, 4)
    first = one.uniform((2, 3), -1.0, 1.0)
    assert (one.seed, one.stream, one.draws, first.shape) == (3, 4, 1, (2, 3))
    second = one.normal(5, dtype="float64").tolist()
    two.draws = 1
    assert two.normal(5, dtype="float64").tolist() == second
    assert one.permutation(4).dtype == np.int64
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match="seed"):
            _core.Generator(seed)
    with pytest.raises(TypeError, match="stream"):
        _core.Generator(1, "a")
    with pytest.raises(ValueError, match="rate"):
        _core.dropout(_core.ones(2), 1.5, one)


def test_errors_of_the_library_itself_are_runtime_errors():
    assert issubclass(_core.InternalError, RuntimeError)
    assert repr(_core.InternalError) == "<class 'evengrad.InternalError'>"


def test_errors_of_a_capture_have_kinds():
    refused = pytest.raises(_core.CaptureError, match=r"item: .* while a step is being captured")
    with _core.Recording(), refused:
        _core.ones(1).item()
    assert issubclass(_core.CaptureError, RuntimeError)


def test_the_build_tells_what_it_is():
    info = _core.build_info()
    assert info["version"] == _core.__version__
    assert info["profile"] in {"release", "debug"}
    assert info["threads"] == _core.get_num_threads()


def test_thread_counts_are_checked():
    before = _core.get_num_threads()
    for count in (0, -1, 10**6, 10**30):
        with pytest.raises((ValueError, TypeError), match="set_num_threads"):
            _core.set_num_threads(count)
    with pytest.raises(TypeError, match="set_num_threads"):
        _core.set_num_threads("two")
    assert _core.get_num_threads() == before


def test_nothing_of_numpy_is_looked_up_later():
    # What is, Ctrl-C may fall into, and the crate that looks it up panics then.
    program = """
import numpy as np
from evengrad import _core

def interrupted(*_):
    raise KeyboardInterrupt

np.lib.NumpyVersion = interrupted
np.__getattr__ = interrupted
print(_core.tensor(np.ones(3)).numpy().sum())
"""
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, check=True, text=True)
    assert ended.stdout == "3.0\n"


class TestRecording:
    def test_replays_go_on_from_the_recorded_step(self):
        total, asked = _core.zeros(()), []
        with _core.Recording() as recording:
            _core.schedule(asked.append)
            _core.schedule(asked.append)
            _core.accumulate(total, _core.ones(()))
        recording.replay(4)
        recording.replay()
        assert total.item() == 6.0
        assert asked == [4, 1]
        assert len(recording.scheduled) == 1
        assert isinstance(recording.plan, _core.Plan)

    def test_an_exception_aborts_the_capture(self):
        recording = _core.Recording()
        with pytest.raises(ZeroDivisionError), recording:
            _core.schedule(1 / 0)
        assert not _core.is_capturing()
        assert recording.plan is None
        assert recording.scheduled == []
        recording.replay()

    def test_a_step_without_operations_has_no_plan(self):
        with _core.Recording() as recording:
            pass
        assert recording.plan is None
        recording.replay(3)

    def test_one_at_a_time(self):
        with _core.Recording() as recording:
            with pytest.raises(RuntimeError, match="already being captured"), _core.Recording():
                pass
            _core.schedule(print)
        assert recording.scheduled == [print]

    def test_without_one_nothing_is_noted(self):
        _core.schedule(print)
        with _core.Recording() as recording:
            pass
        assert recording.scheduled == []
