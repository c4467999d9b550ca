"""Bytes in whichever pieces they come."""

import itertools
from collections.abc import Iterator

from hypothesis import strategies as st

PLACES = st.lists(st.integers(0, 2**20), max_size=8)
"""Where to cut, in no order; taken modulo the length."""


def pieces(data: bytes, places: list[int]) -> Iterator[bytes]:
    """Cut bytes at some places."""
    cuts = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    for start, end in itertools.pairwise(cuts):
        yield data[start:end]
