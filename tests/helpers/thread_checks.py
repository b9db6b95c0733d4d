"""Shared by tests of several threads at one model."""

import sys

import pytest


@pytest.fixture(autouse=True)
def frequent_switches():
    """Have threads take turns as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)
