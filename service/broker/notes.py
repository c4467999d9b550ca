"""Notes: what nodes tell each other about a push, beside its content. Pure."""

from collections.abc import Iterable

import msgspec

from service.json_text import UNREADABLE


class Notes(msgspec.Struct, frozen=True, omit_defaults=True):
    """What goes along with a push.

    `positions` says where the history keeps it: the position in each user's stream, by user, or
    that in the stream of pushes to all; None without history; `data_set` tells which one that is,
    and `keep` that Redis keeps the push for its users until they have it. `report` is the id of the
    node that waits to be told what became of the push; empty for none.
    """

    positions: dict[str, str] | str | None = None
    report: str = ""
    data_set: str = ""
    keep: bool = False

    def of(self, users: Iterable[str]) -> "Notes":
        """Give what concerns these users."""
        if not isinstance(self.positions, dict):
            return self
        found = {user: self.positions[user] for user in users if user in self.positions}
        return Notes(found, self.report, self.data_set, self.keep)


_decoder = msgspec.json.Decoder(Notes)


def read_notes(text: bytes | memoryview) -> Notes | None:
    """Read notes that anybody may have written; None where they are none of ours."""
    try:
        return _decoder.decode(text)
    except UNREADABLE:
        return None
