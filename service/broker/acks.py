"""Acknowledge consumed messages many at a time, except those still being set aside. Pure."""


class Acks:
    """Delivery tags of one channel, which count up from 1."""

    def __init__(self) -> None:
        self._last = 0
        self._acked = 0
        self._held: set[int] = set()

    def took(self, tag: int) -> None:
        """Note a message that was consumed."""
        self._last = tag

    def hold(self, tag: int) -> None:
        """Note a message that must not be acknowledged yet."""
        self._last = tag
        self._held.add(tag)

    def release(self, tag: int) -> None:
        """Note that a held message may be acknowledged."""
        self._held.discard(tag)

    @property
    def clear(self) -> bool:
        """Whether everything that was consumed has been acknowledged."""
        return not self._held and self._acked == self._last

    def due(self) -> int | None:
        """Give the tag up to which all may be acknowledged now; None where nothing is new."""
        upto = min(self._held) - 1 if self._held else self._last
        if upto <= self._acked:
            return None
        self._acked = upto
        return upto
