"""What a node does with a message of its queue."""

from collections.abc import Iterable

from service import close_codes, metrics
from service.amqp import FANOUT
from service.envelope import read_envelope
from service.frames import Message
from service.hub import Hub
from service.push import Push, read_push


class Receiver:
    """Hands consumed messages to the Hub, as local pushes are handed to it."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def handle(self, exchange: str, body: bytes, message_id: str | None) -> None:
        """Deliver one AMQP message. Raises PushError where it cannot be read."""
        if exchange == FANOUT:
            push = read_push(body, message_id)
            self.deliver(push.id, push.content, push.targets)
            return
        envelope = read_envelope(body)
        hub, here = self._hub, self._hub.users
        gone = count = 0
        for part in envelope.parts:
            for user in part.users:
                if user not in here:
                    gone += 1
            count += hub.deliver(Message(part.id, bytes(part.content)), part.users)
        # Once for all of them: a counter takes a lock, which is a quarter of what a part costs.
        metrics.UNDELIVERED.inc(gone)
        metrics.DELIVERIES.inc(count)
        for user in envelope.disconnect:
            self.disconnect(user)

    def deliver(self, push_id: str, content: bytes, targets: tuple[str, ...] | None) -> None:
        """Hand a push to the sockets of its targets here, None for all sockets."""
        count = self._hub.deliver(Message(push_id, content), targets)
        if count:
            metrics.DELIVERIES.inc(count)

    def deliver_all(self, pushes: Iterable[tuple[Push, tuple[str, ...] | None]]) -> None:
        """Hand pushes to the sockets here, each with its targets, in their order."""
        hub, count = self._hub, 0
        for push, targets in pushes:
            count += hub.deliver(Message(push.id, push.content), targets)
        metrics.DELIVERIES.inc(count)

    def disconnect(self, user: str) -> None:
        """Close a user's connections here."""
        for socket in self._hub.of_user(user):
            socket.close(close_codes.REFUSED, "disconnected by the API")
