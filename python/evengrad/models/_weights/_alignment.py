"""Pairs of two rows of things, by order and by what fits, where there is but one way."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

Pairs = list[tuple[int, int]]


def aligned(rows: int, columns: int, fits: Callable[[int, int], bool]) -> Pairs | None:
    """Return as many pairs as can stand in the order of both; None where there are several ways.

    An empty list says that nothing fits.
    """
    # Of the pairs within the first i and the first j: how many can stand in order, and in how many
    # ways; by inclusion and exclusion of the ways that end in a pair.
    best = [[(0, 1)] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows):
        for j in range(columns):
            above, left, corner = best[i][j + 1], best[i + 1][j], best[i][j]
            most = max(above[0], left[0])
            ways = sum(one[1] for one in (above, left) if one[0] == most)
            ways -= corner[1] if corner[0] == most else 0
            if fits(i, j):
                if corner[0] + 1 > most:
                    most, ways = corner[0] + 1, 0
                ways += corner[1] if corner[0] + 1 == most else 0
            best[i + 1][j + 1] = most, ways
    if best[rows][columns][1] != 1:
        return None
    pairs = []
    i, j = rows, columns
    while best[i][j][0]:
        if best[i - 1][j][0] == best[i][j][0]:
            i -= 1
        elif best[i][j - 1][0] == best[i][j][0]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]


def only_ways(rows: int, columns: int, fits: Callable[[int, int], bool]) -> Pairs | None:
    """Return the pairs that fit nothing but each other; None where something fits several."""
    fitting = [[j for j in range(columns) if fits(i, j)] for i in range(rows)]
    taken = [j for one in fitting for j in one]
    if any(len(one) > 1 for one in fitting) or len(set(taken)) != len(taken):
        return None
    return [(i, one[0]) for i, one in enumerate(fitting) if one]
