"""What the history needs of a Connection."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from service.history.held import Held


class Client(Protocol):
    """A client that may have missed something; `held` while that is found out."""

    user: str
    cluster_form: bool
    held: "Held | None"
    tail: bytes

    @property
    def here(self) -> bool:
        """Whether the client is still here."""

    @property
    def waiting(self) -> int:
        """Bytes that wait for the client to read."""

    def say(self, data: bytes) -> None:
        """Put whole frames on the wire, though it may not be open yet."""

    def let_in(self, first: bytes) -> None:
        """Open it, behind these frames."""

    def close(self, code: int, reason: str) -> None:
        """Close it with a code."""

    def too_full(self) -> bool:
        """Close it where too much waits behind what it has missed; True where that is so."""
