"""Memory that is kept until the end is not looked through again and again."""

import contextlib
import gc
import warnings

import pytest

import evengrad as eg

# Modules and ten thousand tests: a million objects, none of which is let go of.
gc.disable()


def pytest_collection_finish():
    """Have the garbage collector look at what tests make alone."""
    gc.collect()
    gc.freeze()
    gc.enable()


class Advice:
    """The advice that a test has brought about, in the place of errors that warnings are else."""

    def __init__(self, recorded):
        self.recorded = recorded

    @property
    def records(self):
        return [one for one in self.recorded if issubclass(one.category, eg.EvengradWarning)]

    @property
    def messages(self):
        return [str(one.message) for one in self.records]

    @property
    def text(self):
        return "\n".join(self.messages)

    def clear(self):
        self.recorded.clear()

    @contextlib.contextmanager
    def heard(self):
        yield self


@pytest.fixture
def advice(recwarn):
    # Also what a line has brought about before.
    warnings.simplefilter("always", eg.EvengradWarning)
    return Advice(recwarn)
