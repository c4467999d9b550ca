"""The History at one node: what comes goes to the sockets in the order of the streams, once.

A message that carries a position is put in order by the Track of its stream, and gets a token. All
other messages go out as they come.
"""

import logging
from collections.abc import Callable, Iterable, Sequence

from service import metrics
from service.broker.notes import Notes
from service.clients.frames import NO_TAIL, Message, ToAll, ToOne
from service.clients.hub import Hub
from service.history.catch_up import CatchUp
from service.history.client import Client
from service.history.held import Held
from service.history.kept import Kept
from service.history.position import START, Position, Token
from service.history.reader import Reader
from service.history.settings import HistorySection
from service.history.store import Heads, HistoryStore, Item, Stream
from service.history.track import Track

log = logging.getLogger(__name__)

Found = Sequence[tuple[Position, Item]]


class History:
    """Tracks of the stream to all and of those of the users here, while the history is on."""

    def __init__(
        self, hub: Hub, store: HistoryStore, settings: Callable[[], HistorySection]
    ) -> None:
        self.hub = hub
        self.store = store
        self.settings = settings
        self.held: set[Held] = set()
        """The connections that are held."""
        self.data_set = ""
        """Empty until Redis has told it."""
        self.all: Track[Item] = Track()
        self.users: dict[str, Track[Item]] = {}
        self.kept = Kept(store)
        self.reader = Reader(store)
        self.catch_up = CatchUp(self)
        self._waiting: dict[str, list[Held]] = {}

    def deliver(
        self, push_id: str, content: bytes, targets: Iterable[str] | None, notes: Notes
    ) -> int:
        """Take a push for users, or for everyone; gives the number of sockets it goes to now."""
        positions = notes.positions
        if positions is None or notes.data_set != self.data_set:
            if positions is not None:
                # Redis has lost its data, or the nodes are moving to another one.
                self.catch_up.suspect()
            return self.hub.deliver(Message(push_id, content), targets)
        item = Item(push_id, content, notes.keep)
        if targets is None:
            if not isinstance(positions, str) or len(positions) != len(START):
                return self.hub.deliver(Message(push_id, content), None)
            return self.passed(None, self.all, self.all.take(positions, item))
        count = 0
        for user in targets:
            track = self.users.get(user)
            at = positions.get(user) if isinstance(positions, dict) else None
            if track is None or at is None or len(at) != len(START):
                count += self.hub.deliver(Message(push_id, content), (user,))
            else:
                count += self.passed(user, track, track.take(at, item))
        return count

    def passed(self, stream: Stream, track: Track[Item], found: Found | None) -> int:
        """Send what a Track has passed on; gives the number of sockets."""
        if found is None:
            metrics.HISTORY_REPEATS.inc()
            return 0
        count = 0
        for at, item in found:
            count += self._send_to_all(at, item) if stream is None else self._send(stream, at, item)
        if track.has_gap:
            self.catch_up.gap(stream)
        return count

    def _send_to_all(self, at: Position, item: Item) -> int:
        if at == START:
            return self.hub.deliver(Message(item.id, item.content), None)
        return self.hub.deliver(ToAll(item.id, item.content, f"{self.data_set}{at}"), None)

    def _send(self, user: str, at: Position, item: Item) -> int:
        sockets = self.hub.of_user(user)
        if at == START:
            if item.keep and all(self.kept.has(socket, item.id) for socket in sockets):
                metrics.HISTORY_REPEATS.inc()
                return 0
            message = Message(item.id, item.content)
        else:
            message = ToOne(item.id, item.content, self.token(self.all.last, at))
        count = self.hub.deliver(message, (user,))
        if at != START:
            tail = at.encode()
            for socket in sockets:
                socket.tail = tail
        if item.keep:
            self.kept.came(user, item.id, sockets, may_repeat=at == START)
        return count

    def token(self, all_at: Position | None, user_at: Position | None) -> str:
        """Make a token; where a position is not known, it says that nothing has come."""
        return Token(self.data_set, all_at or START, user_at or START).write()

    def track(self, stream: Stream) -> Track[Item] | None:
        """Give the Track of a stream; None for a user who is not here."""
        return self.all if stream is None else self.users.get(stream)

    def enter(self, user: str) -> Track[Item]:
        """Take note of a user who has a connection here."""
        track = self.users.get(user)
        if track is None:
            track = self.users[user] = Track()
        return track

    def leave(self, connection: Client) -> None:
        """Forget a connection that has left the Hub, and with the last one its user."""
        if connection.held is not None:
            connection.held.end()
        self.kept.gone(connection)
        user = connection.user
        if user not in self.hub.users:
            self.users.pop(user, None)
            self._waiting.pop(user, None)
            self.kept.left(user)

    def come(self, connection: Client, token: str | None) -> None:
        """Hold a connection that has entered the Hub; `token`: a resume came with its handshake."""
        connection.held = held = Held(self, connection)
        held.enter(token)

    def resume(self, connection: Client, token: str | None) -> None:
        """Take a client's resume."""
        if connection.held is not None:
            connection.held.ask(token)
        else:
            Held(self, connection).later(token)

    def ask_for(self, held: Held) -> None:
        """Have `held.ready` called when the head of its user's stream is known."""
        user = held.connection.user
        self._waiting.setdefault(user, []).append(held)
        self.catch_up.ask(user)

    def know(self, heads: Heads) -> None:
        """Take note of where streams end."""
        if self.all.last is None:
            self.passed(None, self.all, self.all.start(heads.all))
        self.all.expect(heads.all)
        if self.all.has_gap:
            self.catch_up.gap(None)
        for user, head in heads.users.items():
            track = self.users.get(user)
            if track is not None:
                if track.last is None:
                    found = track.start(head.position)
                    for socket in self.hub.of_user(user):
                        socket.tail = head.position.encode()
                    self.passed(user, track, found)
                track.expect(head.position)
                if track.has_gap:
                    self.catch_up.gap(user)
            for held in self._waiting.pop(user, ()):
                held.ready(head, heads)

    def know_nothing(self) -> None:
        """Let go on what waits for heads, since Redis cannot be asked for now."""
        for stream, track in ((None, self.all), *self.users.items()):
            if track.last is None and not track.blind:
                self.passed(stream, track, track.give_up())
        for waiting in list(self._waiting.values()):
            for held in waiting:
                held.unknown()

    def begin_anew(self, data_set: str) -> None:
        """Go on with another data set; nobody who is connected is disturbed."""
        if self.data_set:
            metrics.HISTORY_DATA_SETS.inc()
            log.warning("Redis has other data than before: clients that come back get a reset")
        for socket in self.hub.sockets:
            socket.tail = NO_TAIL
        for stream, track in ((None, self.all), *self.users.items()):
            self.passed(stream, track, track.restart())
        self.data_set = data_set
        for held in self.held:
            held.begin_anew()

    def let_all_in(self) -> None:
        """Hold nobody any more: the history is switched off."""
        self._waiting.clear()
        for held in list(self.held):
            held.forget()
