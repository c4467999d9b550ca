"""What nodes say to each other when messages are missing: an Ask, and what is sent Again. Pure.

Both go in an Envelope through the direct exchange, and have no number themselves: who gets no
answer asks again.
"""

from typing import Literal

import msgspec

from service.broker.ranges import Range

Way = Literal["fanout", "direct"]


class Ask(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ask for the messages of some ranges.

    A range that begins at 0 begins where the asked one came to know the node that asks; one that
    ends at 0 ends at the newest message. `round` comes back in the answer.
    """

    round: int = 0
    fanout: tuple[Range, ...] = ()
    direct: tuple[Range, ...] = ()


class Item(msgspec.Struct, frozen=True, gc=False):
    """A message once more: its number, its message id, and its body, which is JSON."""

    number: int
    id: str
    body: msgspec.Raw


class Again(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that there is to say of the messages from `first` to `last`, or of none (`last` lower).

    What is not among `items` is gone for good where its number is below `floor`, and else was never
    accepted. `begin` answers a range that began at 0: the first message for who asked. `final`
    ends the answer to a range that ended at 0. `newest` is the number of the newest message, -1
    where that is not told.
    """

    way: Way
    first: int
    last: int
    floor: int
    items: tuple[Item, ...] = ()
    begin: int = 0
    round: int = 0
    final: bool = False
    newest: int = -1


class Resend(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `node` says: either of the two."""

    node: str
    ask: Ask | None = None
    again: Again | None = None
