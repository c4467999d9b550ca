"""What a node does with a message of its queue."""

from collections.abc import Callable, Iterable

from service import metrics
from service.broker.amqp import FANOUT
from service.broker.envelope import read_envelope
from service.broker.notes import Notes
from service.broker.resending import Resend
from service.clients import close_codes
from service.clients.frames import Message
from service.clients.hub import Hub
from service.history.history import History
from service.push.push import Push, read_push
from service.push.reporter import Reporter


class Receiver:
    """Hands consumed messages to the Hub, as local pushes are handed to it.

    `resend` is given what nodes say of messages that are missing; `reporter` tells what became of
    the pushes that ask for it; `history` puts in order what is kept, None while it is off.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.resend: Callable[[Resend], None] = lambda _: None
        self.reporter: Reporter | None = None
        self.history: History | None = None

    def handle(self, exchange: str, body: bytes, message_id: str | None) -> None:
        """Deliver one AMQP message. Raises PushError where it cannot be read."""
        if exchange == FANOUT:
            push = read_push(body, message_id)
            self.deliver(push, push.targets)
            return
        envelope = read_envelope(body)
        if envelope.resend is not None:
            self.resend(envelope.resend)
            return
        hub, here, history = self._hub, self._hub.users, self.history
        gone = count = 0
        for part in envelope.parts:
            for user in part.users:
                if user not in here:
                    gone += 1
            if history is None or part.notes is None:
                count += hub.deliver(Message(part.id, bytes(part.content)), part.users)
            else:
                count += history.deliver(part.id, bytes(part.content), part.users, part.notes)
            if part.notes is not None:
                self._report(part.id, part.notes, part.users)
        # Once for all of them: a counter takes a lock, which is a quarter of what a part costs.
        metrics.GONE.inc(gone)
        metrics.DELIVERIES.inc(count)
        for user in envelope.disconnect:
            self.disconnect(user)
        if envelope.reports is not None and self.reporter is not None:
            self.reporter.take(envelope.reports)

    def deliver(self, push: Push, targets: tuple[str, ...] | None) -> None:
        """Hand a push to the sockets of these targets here, None for all sockets."""
        history = self.history
        if history is None or push.notes is None:
            count = self._hub.deliver(Message(push.id, push.content), targets)
        else:
            count = history.deliver(push.id, push.content, targets, push.notes)
        if push.notes is not None:
            self._report(push.id, push.notes, targets)
        if count:
            metrics.DELIVERIES.inc(count)

    def deliver_all(self, pushes: Iterable[tuple[Push, tuple[str, ...] | None]]) -> None:
        """Hand pushes to the sockets here, each with its targets, in their order."""
        hub, history, count = self._hub, self.history, 0
        for push, targets in pushes:
            if history is None or push.notes is None:
                count += hub.deliver(Message(push.id, push.content), targets)
            else:
                count += history.deliver(push.id, push.content, targets, push.notes)
            if push.notes is not None:
                self._report(push.id, push.notes, targets)
        metrics.DELIVERIES.inc(count)

    def count_gone(self, users: Iterable[str]) -> None:
        """Count those of users taken to be here who have left."""
        here = self._hub.users
        gone = sum([user not in here for user in users])
        if gone:
            metrics.GONE.inc(gone)

    def _report(self, push: str, notes: Notes, targets: tuple[str, ...] | None) -> None:
        if notes.report and self.reporter is not None:
            self.reporter.watch(push, notes.report, targets)

    def disconnect(self, user: str) -> None:
        """Close a user's connections here."""
        for socket in self._hub.of_user(user):
            socket.close(close_codes.REFUSED, "disconnected by the API")
