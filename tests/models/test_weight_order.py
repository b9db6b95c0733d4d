"""Pairing by order: the longest pairs in order where there is one way, against all ways."""

import itertools

import numpy as np
import pytest

from evengrad.models._weights._alignment import aligned, only_ways
from evengrad.models._weights._numbers import are_numbered, numbers_in


def all_ways(rows, columns, fits):
    """Return the longest lists of pairs in order, by trying all."""
    for length in range(min(rows, columns), -1, -1):
        found = [
            list(zip(left, right, strict=True))
            for left in itertools.combinations(range(rows), length)
            for right in itertools.combinations(range(columns), length)
            if all(fits[i, j] for i, j in zip(left, right, strict=True))
        ]
        if found:
            return found
    return [[]]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_alignments_are_those_of_trying_all(share):
    draw = np.random.default_rng(int(10 * share))
    single = 0
    for _ in range(150):
        rows, columns = draw.integers(0, 5, 2)
        fits = draw.random((rows, columns)) < share
        ways = all_ways(rows, columns, fits)
        found = aligned(rows, columns, lambda i, j, fits=fits: bool(fits[i, j]))
        assert found == (ways[0] if len(ways) == 1 else None)
        single += len(ways) == 1
    assert 0 < single < 150


def test_equal_rows_of_any_length_pair_quickly():
    # All fit all, and there are many ways to pair fewer than all.
    assert aligned(200, 200, lambda i, j: True) == [(i, i) for i in range(200)]  # noqa: ARG005
    assert aligned(200, 199, lambda i, j: True) is None  # noqa: ARG005


def test_without_an_order_each_must_fit_one_alone():
    fits = np.array([[0, 1, 0], [1, 0, 0]], bool)
    assert only_ways(2, 3, lambda i, j: bool(fits[i, j])) == [(0, 1), (1, 0)]
    assert only_ways(2, 3, lambda i, j: bool(fits[i, j]) or j == 2) is None
    assert only_ways(2, 2, lambda i, j: j == 0) is None  # noqa: ARG005


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["0", "10", "2"], True),
        (["0", "2/1", "2/0"], True),
        (["dense", "dense_1"], True),
        (["net/0", "net/1"], True),
        (["body/0", "head"], False),
        (["a", "b"], False),
        (["0", "00"], False),
        ([], True),
    ],
)
def test_numbers_tell_the_order(names, told):
    assert are_numbered(names) is told


def test_numbers_are_sorted_as_such():
    names = ["10", "2/1", "2", "2/0", "0"]
    assert sorted(names, key=numbers_in) == ["0", "2", "2/0", "2/1", "10"]
