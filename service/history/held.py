"""A connection that is held until it is known what its client has missed."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from service import metrics
from service.clients import close_codes
from service.clients.frames import PONG, RESET, Message, ToOne, token_frame
from service.directory.redis_store import StoreError
from service.history.client import Client
from service.history.position import (
    START,
    Position,
    Token,
    can_resume,
    follows,
    number_of,
    token_for,
)
from service.history.store import LIFE, Head, Heads, Item, Span, Stream

if TYPE_CHECKING:
    from service.history.history import History

log = logging.getLogger(__name__)

PATIENCE = 20.0
"""Seconds that a client may take to read some of what it has missed: nobody pings it meanwhile."""

_PAUSE = 0.5
_PAGE = 50
_LOOK = 0.02
_ENOUGH = 65_536

_RESUMED = metrics.HISTORY_RESUMES.labels("resumed")
_RESET = metrics.HISTORY_RESUMES.labels("reset")


class Held:
    """One connection from its entry to its first message from the Hub, or one later resume.

    What is pushed meanwhile queues behind: all that is later than `all_from` and `user_from`.
    """

    def __init__(self, history: "History", connection: Client) -> None:
        self._history = history
        self.connection = connection
        self._all_from: Position | None = None
        self._user_from: Position | None = None
        self._asked = False
        self._token: str | None = None
        self._spoke = False
        self._late = False
        self._ponged = False
        self._head: Head | None = None
        self._heads: Heads | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def enter(self, token: str | None) -> None:
        """Take note that the connection is in the Hub from now on; `token`: a resume came, too."""
        self._history.held.add(self)
        if token is not None:
            self._asked, self._token = True, token
        track = self._history.enter(self.connection.user)
        self._all_from, self._user_from = self._history.all.last, track.last
        if track.last is not None:
            self.connection.tail = track.last.encode()

    def start(self) -> None:
        """Find out what there is for the client, now that the directory knows of it."""
        if self.connection.here:
            self._history.ask_for(self)

    def ask(self, token: str | None) -> None:
        """Take a resume, with a token where the client has one."""
        self._asked, self._token = True, token
        if self._ponged:
            self._go_on()

    def spoke(self) -> None:
        """Take note that the client has said anything, and so does not wait to resume."""
        self._spoke = True
        if self._ponged and not self._asked:
            self._go_on()

    def later(self, token: str | None) -> None:
        """Begin a resume of a connection that was opened before."""
        self._late = self._ponged = self._asked = True
        self._token = token
        self.connection.held = self
        self._history.held.add(self)
        self.start()

    def ready(self, head: Head, heads: Heads) -> None:
        """Take the head of the user's stream."""
        if not self.connection.here:
            return
        self._head, self._heads = head, heads
        track = self._history.users.get(self.connection.user)
        if self._late:
            self._all_from = self._history.all.last
            self._user_from = None if track is None else track.last
        else:
            self._all_from = self._all_from or self._history.all.base
            self._user_from = self._user_from or (START if track is None else track.base)
        self._pong()
        self._go_on()

    def begin_anew(self) -> None:
        """Begin again: what was found out is of other data than Redis has now."""
        self._all_from = self._user_from = None
        if self._head is not None:
            self._head = self._heads = None
            if self._task is not None:
                self._task.cancel()
                self._task = None
            self.start()

    def unknown(self) -> None:
        """Go on as far as possible without Redis: who does not resume needs not wait for it."""
        if self.connection.here and not self._late:
            self._pong()
            if not self.connection.cluster_form:
                self._open()
            elif self._asked:
                self.connection.too_full()

    def end(self) -> None:
        """Forget the connection, which has gone."""
        self._history.held.discard(self)
        self._cancel_timer()

    def forget(self) -> None:
        """Let the client in without a history."""
        if self._task is not None:
            self._task.cancel()
        self._cancel_timer()
        if self.connection.here:
            self._pong()
            if self._asked:
                self.connection.say(RESET)
            self._open()

    def _pong(self) -> None:
        if self._ponged:
            return
        self._ponged = True
        self.connection.say(PONG)
        if self.connection.cluster_form and not self._asked and not self._spoke:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(
                self._history.settings().resume_wait.total_seconds(), self.spoke
            )

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_on(self) -> None:
        if self._task is not None:
            return
        if self.connection.cluster_form and not self._asked and not self._spoke:
            return
        self._cancel_timer()
        if self._head is None:
            if not self._asked:
                self._open()
        elif self._asked or self._head.kept:
            self._task = asyncio.create_task(self._catch_up())
        else:
            self._open()

    def _open(self) -> None:
        if self.connection.held is self:
            self.connection.held = None
            self._history.held.discard(self)
            if not self._late:
                self._history.kept.opened(self.connection)
                self.connection.let_in(b"")

    async def _catch_up(self) -> None:
        connection = self.connection
        while connection.here:
            try:
                await self._answer()
            except StoreError as error:
                log.debug("%s; a client waits for it", error)
                await asyncio.sleep(_PAUSE)
            except Exception:
                log.exception("a client could not be told what it has missed")
                if self._asked:
                    connection.say(RESET)
                break
            else:
                break
            if connection.too_full():
                break
        if connection.here:
            self._open()

    async def _answer(self) -> None:
        history, user_from = self._history, self._user_from or START
        some = self._head is not None and self._head.kept
        kept = await history.store.kept(self.connection.user) if some else []
        token = token_for(history.data_set, self._token)
        before = user_from if token is None else min(token.user, user_from)
        await self._send_kept(entry for entry in kept if entry[0] <= before)
        if not self._asked:
            return
        # It may have come just now.
        token = token_for(history.data_set, self._token)
        whole = self._token is None or (token is not None and await self._send_missed(token))
        if not whole:
            await self._send_kept(entry for entry in kept if before < entry[0] <= user_from)
        (_RESUMED if whole else _RESET).inc()
        now = history.token(self._all_from, user_from)
        self.connection.say(token_frame("resumed" if whole else "reset", now))

    async def _send_kept(self, entries: Iterable[tuple[Position, Item]]) -> None:
        client, kept, cluster = self.connection, self._history.kept, self.connection.cluster_form
        for at, item in entries:
            if kept.has(client, item.id):
                continue
            message = Message(item.id, item.content)
            await self._say(message.cluster_frame if cluster else message.raw_frame)
            if not client.here:
                return
            kept.read(client, item.id, at, self._heads)

    async def _send_missed(self, token: Token) -> bool:
        """Send what is behind a token; False where not all of it is known any more."""
        if self._head is None or self._heads is None:
            return False
        history, user_from = self._history, self._user_from or START
        if not await self._send_span(
            self.connection.user,
            token.user,
            user_from,
            self._head.position,
            lambda at: history.token(token.all, at),
        ):
            return False
        got = max(token.user, user_from)
        return await self._send_span(
            None,
            token.all,
            self._all_from or START,
            self._heads.all,
            lambda at: history.token(at, got),
        )

    async def _send_span(
        self,
        stream: Stream,
        after: Position,
        upto: Position,
        head: Position,
        token: Callable[[Position], str],
    ) -> bool:
        history = self._history
        # Longer than a stream lives when nothing comes to it.
        life = (history.settings().age + LIFE) / timedelta(milliseconds=1)
        old = 0 if self._heads is None else round(self._heads.now - life)
        last, first = after, True
        while True:
            page: list[tuple[Position, Item]] = []
            if number_of(upto) and after < upto:
                data_set, page = await history.reader.read(Span(stream, last, upto, _PAGE))
                if data_set != history.data_set:
                    return False
            begin = page[0][0] if page else None
            if first and not can_resume(after, upto, begin, head, old=old):
                return False
            first = False
            for at, item in page:
                if not follows(last, at):
                    return False
                last = at
                await self._say(ToOne(item.id, item.content, token(at)).cluster_frame)
            if not self.connection.here or len(page) < _PAGE:
                # Or the rest was trimmed meanwhile.
                return last >= upto or number_of(last) >= number_of(upto)

    async def _say(self, frame: bytes) -> None:
        connection, loop = self.connection, asyncio.get_running_loop()
        began = loop.time()
        while connection.here and connection.waiting > _ENOUGH:
            if connection.too_full():
                return
            if loop.time() - began > PATIENCE:
                connection.close(close_codes.TOO_SLOW, "this client reads too slowly")
                return
            await asyncio.sleep(_LOOK)
        if connection.here:
            connection.say(frame)
