"""Access to sets of tensors: who reads, who writes, and who waits."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import evengrad as eg
from evengrad import _core


@pytest.fixture
def elsewhere():
    """Return a function that has another thread do something, and returns what it got."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda work, *args: pool.submit(work, *args).result()


def may_enter(items, writes):
    access = _core.Access(items, writes=writes)
    entered = access.try_enter()
    if entered:
        access.leave()
    return entered


def test_readers_share_and_writers_are_alone(elsewhere):
    a, b, thing = eg.zeros(()), eg.zeros(()), object()
    with _core.Access([a, thing]):
        assert elsewhere(may_enter, [a, b, thing], False)
        assert not elsewhere(may_enter, [a], True)
        assert not elsewhere(may_enter, [b, thing], True)
        assert elsewhere(may_enter, [b], True)
        # The same thread is not in its own way.
        with _core.Access([a, b], writes=True):
            assert not elsewhere(may_enter, [b], False)
        assert elsewhere(may_enter, [b], False)
    assert elsewhere(may_enter, [a, b, thing], True)


def test_a_view_stands_for_the_memory_that_it_shows(elsewhere):
    a = eg.zeros((4, 2))
    with _core.Access([a[1]], writes=True):
        assert not elsewhere(may_enter, [a.detach()], False)


def test_blocks_are_left_by_exceptions_and_not_before_they_are_entered(elsewhere):
    a = eg.zeros(())
    with pytest.raises(ArithmeticError), _core.Access([a], writes=True):
        raise ArithmeticError
    assert elsewhere(may_enter, [a], True)
    with pytest.raises(RuntimeError, match="left before"):
        _core.Access([a]).__exit__(None, None, None)
    access = _core.Access([a], writes=True)
    assert access.try_enter()
    del access
    assert elsewhere(may_enter, [a], True)


def test_a_replay_waits_for_others_that_look_at_what_it_changes():
    total, one, begun = eg.zeros(()), eg.ones(()), threading.Event()
    with _core.Recording() as recording:
        _core.accumulate(total, one)

    def replay():
        begun.set()
        recording.replay(3)

    with ThreadPoolExecutor(1) as pool:
        with _core.Access([total]):
            replaying = pool.submit(replay)
            assert begun.wait(600)
            assert [total.item() for _ in range(100)] == [1.0] * 100
            # This thread's own goes on.
            recording.replay()
            assert total.item() == 2.0
        replaying.result()
    assert total.item() == 5.0


def test_an_answer_waits_for_others_that_change_what_it_reads():
    weight, x = eg.ones((2,)), np.ones((1, 2), np.float32)
    given = eg.zeros((1, 2))
    with _core.Recording() as recording:
        output = given * weight
    answer = _core.Inference(recording.plan, given, output).answer
    begun = threading.Event()

    def ask():
        with eg.no_grad():
            begun.set()
            return answer(x).tolist()

    with ThreadPoolExecutor(1) as pool:
        with _core.Access([weight], writes=True):
            weight.copy_([5.0, 1.0])
            asking = pool.submit(ask)
            assert begun.wait(600)
            weight.copy_([5.0, 7.0])
        assert asking.result() == [[5.0, 7.0]]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_waits_for_no_thread_of_its_parent():
    a, held, done = eg.zeros(()), threading.Event(), threading.Event()

    def hold():
        with _core.Access([a], writes=True):
            held.set()
            assert done.wait(600)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        assert held.wait(600)
        with _core.Access([None]):
            child = os.fork()
            if child == 0:
                with _core.Access([a], writes=True):
                    a.copy_(1.0)
                os._exit(0 if a.item() == 1.0 else 1)
        done.set()
        holding.result()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
