"""How many pushes go in one AMQP message: what waits together, spread over the nodes.

A Pusher takes all that has gathered, looks it up, and publishes one message per node; meanwhile
more gathers. It waits for confirms only where some batches are under way already. So the busier it
is, the more goes together; and the more nodes there are, the fewer of those are for the same one.
"""

from dataclasses import dataclass

from service.broker.publication import MAX_PARTS
from service.push.pusher import MAX_MERGED, MAX_UNDER_WAY

_HALVINGS = 40
_STRIDE = 1.05


def distinct(bins: float, balls: float) -> float:
    """Tell how many of `bins` get one when `balls` fall into them at random."""
    if bins <= 1 or balls <= 0:
        return float(min(bins, 1)) if balls > 0 else 0.0
    return float(bins * (1 - (1 - 1 / bins) ** balls))


@dataclass(frozen=True, slots=True)
class Homes:
    """The nodes that hold users, and whether a Pusher's own node is one of them."""

    nodes: int
    own: bool = True

    def messages(self, pushes: float) -> float:
        """Tell how many messages a cycle of `pushes` makes: one for each other node that is hit."""
        others = self.nodes - 1 if self.own else self.nodes
        hit = distinct(self.nodes, pushes) / self.nodes * others
        return max(hit, pushes / self.nodes * others / MAX_PARTS)


@dataclass(frozen=True, slots=True)
class Cycle:
    """One turn of a Pusher: how many pushes, messages and seconds it takes.

    One that does not keep up has more to send than it can.
    """

    pushes: float
    messages: float
    seconds: float
    keeps_up: bool = True

    @property
    def per_message(self) -> float:
        """Pushes in one message; those for the Pusher's own users need none."""
        return self.pushes / self.messages if self.messages else self.pushes


@dataclass(frozen=True, slots=True)
class PusherCosts:
    """Seconds: waited for Redis and for a confirm, and of CPU for a cycle, a push and a message.

    `consumed` is the CPU for a message of the other nodes, of which as many come as this one sends.
    `others` is the part of the core that everything else takes.
    """

    look_up: float
    confirm: float
    turn: float
    push: float
    message: float
    consumed: float = 0.0
    others: float = 0.0

    def takes(self, pushes: float, messages: float) -> float:
        """Give the seconds of a cycle: it waits for Redis, or for the core."""
        left = 1 - self.others
        if left <= 0:
            return float("inf")
        own = self.turn + pushes * self.push + messages * self.message
        return max(self.look_up + own / left, (own + messages * self.consumed) / left)


def cycle(homes: Homes, rate: float, batch: float, costs: PusherCosts) -> Cycle:
    """Find the shortest cycle in which no more pushes come than are sent.

    `rate` is pushes per second of this Pusher, which come `batch` at a time.
    """

    def lasts(pushes: float) -> float:
        sent = costs.takes(pushes, homes.messages(pushes))
        return max(sent, (sent + costs.confirm) / MAX_UNDER_WAY)

    low = high = min(max(batch, 1.0), float(MAX_MERGED))
    while rate * lasts(high) > high:
        if high >= MAX_MERGED:
            return Cycle(high, homes.messages(high), lasts(high), keeps_up=False)
        low, high = high, min(high * _STRIDE, MAX_MERGED)
    for _ in range(_HALVINGS if low < high else 0):
        middle = (low + high) / 2
        if rate * lasts(middle) > middle:
            low = middle
        else:
            high = middle
    return Cycle(high, homes.messages(high), lasts(high))
