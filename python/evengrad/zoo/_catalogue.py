"""The list of nets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from evengrad._common.names import printable
from evengrad._common.text_tables import aligned
from evengrad.saving import _safetensors
from evengrad.zoo._card import Card, card_in
from evengrad.zoo._folder import paths

# Longer texts are cut in the table.
WIDTH = 44


class Catalogue(Mapping[str, Card]):
    """What `zoo.list` returns: a `Card` for each net, by name; prints as a table.

    Parameters
    ----------
    cards
        The cards by name.

    Examples
    --------
    >>> catalogue = eg.zoo.list()
    >>> isinstance(catalogue, eg.zoo.Catalogue), "digits" in catalogue
    (True, True)
    """

    def __init__(self, cards: Mapping[str, Card]) -> None:
        self._cards = dict(cards)

    def __getitem__(self, name: str) -> Card:
        return self._cards[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._cards)

    def __len__(self) -> int:
        return len(self._cards)

    def __str__(self) -> str:
        rows = [("name", "parameters", "figures", "what it does")]
        for name, card in self._cards.items():
            figures = ", ".join(f"{key} {value:.4g}" for key, value in card.figures.items())
            if card.fault is not None:
                rows.append((name, "", "", "cannot be loaded; its card says why"))
            else:
                rows.append((name, f"{card.parameters:,}", _cut(figures), _cut(card.summary)))
        return "\n".join(map(printable, aligned(rows, left=(0, 2, 3))))

    __repr__ = __str__


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def list() -> Catalogue:
    """Return the cards of all nets: those that come along, and one's own in `zoo.folder`.

    Of a file whose header is damaged, or that has no card, the card says so in ``fault``.

    Returns
    -------
    Catalogue
        The cards by name; prints as a table.

    Examples
    --------
    >>> sorted(eg.zoo.list())[:2]
    ['breast_cancer', 'digits']
    """
    return Catalogue({name: _card(name, path) for name, path in paths().items()})


def _card(name: str, path: str) -> Card:
    try:
        return card_in(path, _safetensors.read_metadata(path))
    except (OSError, ValueError) as error:
        size = os.path.getsize(path) if os.path.exists(path) else 0
        return Card(name=name, path=path, fault=f"{error} ({size} bytes)")
