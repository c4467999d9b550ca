"""What a node does with a message of its queue."""

from service import close_codes, metrics
from service.amqp import FANOUT
from service.envelope import read_envelope
from service.frames import Message
from service.hub import Hub
from service.push import read_push


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
        for part in envelope.parts:
            gone = sum(1 for user in part.users if not self._hub.of_user(user))
            if gone:
                metrics.UNDELIVERED.inc(gone)
            self.deliver(part.id, bytes(part.content), part.users)
        for user in envelope.disconnect:
            self.disconnect(user)

    def deliver(self, push_id: str, content: bytes, targets: tuple[str, ...] | None) -> None:
        """Hand a push to the sockets of its targets here, None for all sockets."""
        count = self._hub.deliver(Message(push_id, content), targets)
        if count:
            metrics.DELIVERIES.inc(count)

    def disconnect(self, user: str) -> None:
        """Close a user's connections here."""
        for socket in self._hub.of_user(user):
            socket.close(close_codes.REFUSED, "disconnected by the API")
