"""Read a program's documents from Nacos, and be stirred when one of them is published."""

from collections.abc import Callable, Mapping
from typing import Protocol

from nacos_boot.bootstrap import Bootstrap
from nacos_boot.nacos_error import NacosError, NacosForbiddenError, UnreachableError
from nacos_boot.startup import StartError


class ConfigServer(Protocol):
    """What live configuration needs of Nacos; `nacos_client.NacosClient` is the real one."""

    @property
    def address(self) -> str:
        """The server list, for messages."""

    async def connect(self) -> None:
        """Log in and connect, if that has not been done; raises StartError."""

    async def get_config(self, data_id: str, group: str) -> str | None:
        """Read a document, None where absent; raises NacosError."""

    async def listen(self, data_id: str, group: str, changed: Callable[[], None]) -> None:
        """Call `changed()` after each publication; raises NacosError."""

    async def start_listening(self) -> None:
        """Register the listeners at the server now."""


class ConfigReader:
    """The documents of one program; each is known by `group/data id`."""

    def __init__(
        self, bootstrap: Bootstrap, server: ConfigServer, stirred: Callable[[], None]
    ) -> None:
        self._bootstrap = bootstrap
        self._server = server
        self._stirred = stirred
        self._listening: set[str] = set()

    async def first_read(self) -> dict[str, str]:
        """Read every document.

        Raises StartError where the account or the required document is missing, UnreachableError
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
        required = self._bootstrap.required
        if required.key not in contents:
            raise StartError(
                f"Nacos at {self._server.address} has no data id '{required.data_id}' in group"
                f" '{required.group}', namespace '{self._bootstrap.nacos.namespace or 'public'}':"
                " publish it, or check spring.cloud.nacos.config"
            )
        return contents

    async def read(self, known: Mapping[str, str], *, everything: bool = False) -> dict[str, str]:
        """Read the documents that refresh; the others are taken from `known` (or read, too).

        Absent documents are absent from the result. Raises NacosError, StartError.
        """
        await self._server.connect()
        await self._listen()
        contents: dict[str, str] = {}
        for document in self._bootstrap.documents:
            key = document.key
            content = known.get(key)
            if document.refresh or everything:
                content = await self._server.get_config(document.data_id, document.group)
            if content is not None:
                contents[key] = content
        return contents

    async def _listen(self) -> None:
        fresh = [
            document
            for document in self._bootstrap.documents
            if document.refresh and document.key not in self._listening
        ]
        for document in fresh:
            await self._server.listen(document.data_id, document.group, self._stirred)
            self._listening.add(document.key)
        if fresh:
            await self._server.start_listening()
