"""Read a program's documents from Nacos, and take what its listeners are told."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from nacos_boot.nacos.error import NacosError, NacosForbiddenError, UnreachableError
from nacos_boot.start.bootstrap import Bootstrap
from nacos_boot.start.nacos_settings import DocumentSettings
from nacos_boot.start.startup import StartError

SETTLED = 1.0
"""Seconds for which a push counts more than what is read.

The servers of a cluster learn of a publication one after the other, and each gives what it knows.
"""


class ConfigServer(Protocol):
    """What live configuration needs of Nacos; `nacos.client.NacosClient` is the real one."""

    @property
    def address(self) -> str:
        """The server list, for messages."""

    async def connect(self) -> None:
        """Log in and connect, if that has not been done; raises StartError."""

    async def get_config(self, data_id: str, group: str) -> str | None:
        """Read a document, None where absent; raises NacosError."""

    async def listen(self, data_id: str, group: str, changed: Callable[[str | None], None]) -> None:
        """Call `changed(content)` after each publication, with None where it must be read.

        Raises NacosError.
        """

    async def start_listening(self) -> None:
        """Register the listeners at the server now."""


class ConfigReader:
    """The documents of one program; each is known by `group/data id`.

    `pushed(key, content)` is called with what a listener is told; a content of None means that the
    documents must be read.
    """

    def __init__(
        self,
        bootstrap: Bootstrap,
        server: ConfigServer,
        pushed: Callable[[str, str | None], None],
    ) -> None:
        self._bootstrap = bootstrap
        self._server = server
        self._tell = pushed
        self._listening: set[str] = set()
        self._pushes: dict[str, tuple[str, float]] = {}

    async def first_read(self) -> dict[str, str]:
        """Read every document.

        Raises StartError where the account or a required document is missing, UnreachableError
        where Nacos does not answer.
        """
        try:
            contents = await self.read({}, everything=True)
        except NacosForbiddenError as error:
            raise StartError(
                f"{error}: check the permissions of spring.cloud.nacos.username"
            ) from error
        except NacosError as error:
            raise UnreachableError(f"{error}: check spring.cloud.nacos.server-addr") from error
        if missing := missing_of(self._bootstrap, contents):
            raise StartError(
                f"Nacos at {self._server.address} has no {missing}:"
                " publish it, or check spring.cloud.nacos.config"
            )
        return contents

    async def read(self, known: Mapping[str, str], *, everything: bool = False) -> dict[str, str]:
        """Read the documents that refresh; the others are taken from `known` (or read, too).

        Absent documents are absent from the result. Raises NacosError, StartError.
        """
        if not self._bootstrap.documents:
            # Nacos is needed for registration at most, and need not be there yet.
            return {}
        await self._server.connect()
        await self._listen()
        started = self._now()
        documents = {document.key: document for document in self._bootstrap.documents}
        wanted = {key: one for key, one in documents.items() if one.refresh or everything}
        found = dict(zip(wanted, await self._read_all([*wanted.values()]), strict=True))
        contents: dict[str, str] = {}
        for key in documents:
            content = self._newest(key, found[key], started) if key in found else known.get(key)
            if content is not None:
                contents[key] = content
        return contents

    async def _read_all(self, documents: list[DocumentSettings]) -> list[str | None]:
        answers = await asyncio.gather(
            *(self._server.get_config(one.data_id, one.group) for one in documents),
            return_exceptions=True,
        )
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        # That the account is refused says more than that another read was not answered.
        for error in sorted(errors, key=lambda one: not isinstance(one, NacosForbiddenError)):
            raise error
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    def _newest(self, key: str, found: str | None, started: float) -> str | None:
        content, at = self._pushes.get(key, (None, 0.0))
        if content is not None and at > min(started, self._now() - SETTLED):
            return content
        return found

    async def _listen(self) -> None:
        fresh = [
            document
            for document in self._bootstrap.documents
            if document.refresh and document.key not in self._listening
        ]
        for document in fresh:
            key = document.key

            def changed(content: str | None, key: str = key) -> None:
                self._pushed(key, content)

            await self._server.listen(document.data_id, document.group, changed)
            self._listening.add(key)
        if fresh:
            await self._server.start_listening()

    def _pushed(self, key: str, content: str | None) -> None:
        if content is None:
            self._pushes.pop(key, None)
        else:
            self._pushes[key] = content, self._now()
        self._tell(key, content)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def missing_of(bootstrap: Bootstrap, contents: Mapping[str, str]) -> str:
    """Name the first required document that is not there, empty where none is missing."""
    for document in bootstrap.required:
        if document.key not in contents:
            return (
                f"data id '{document.data_id}' in group '{document.group}', namespace"
                f" '{bootstrap.nacos.for_config().namespace or 'public'}'"
            )
    return ""
