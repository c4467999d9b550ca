"""Read documents through Nacos's HTTP API: the way that is left when the gRPC stream is dead.

Source: Nacos Open API for clients, `/v3/client/cs/config` (3.x) and `/v1/cs/configs` (2.x).
"""

import asyncio
import json
from http import HTTPStatus
from typing import Any

import aiohttp

from nacos_boot.nacos.error import NacosError, NacosForbiddenError, UnreachableError
from nacos_boot.nacos.login import Token, check_login, with_scheme
from nacos_boot.nacos.tls import nacos_connector
from nacos_boot.registry.network import local_address
from nacos_boot.start.nacos_settings import NacosSettings
from nacos_boot.start.startup import StartError

_MOMENT = 0.02  # seconds
_RENEWAL_PAUSE = 5.0  # seconds
_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
# What a server says of an interface that it does not have.
_NOT_OFFERED = {
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.GONE,
    HTTPStatus.NOT_IMPLEMENTED,
}
# Codes in the answers of Nacos 3.
_DONE = 0
_ABSENT = 20004
_BEING_MODIFIED = 20005
# What Nacos 2 says with a 404; any other 404 is not about the document.
_ABSENT_V1 = "config data not exist"


class NacosHttp:
    """Documents over HTTP, read on new connections: one that was kept open may be dead as well.

    Each of the servers is given `timeout` seconds for an answer.
    """

    def __init__(self, settings: NacosSettings, timeout: float) -> None:
        self._settings = settings
        self._timeout = timeout
        self._client_ip = ""
        self._token: Token | None = None
        self._tried = -_RENEWAL_PAUSE
        self._refusal = ""
        self._logging_in = asyncio.Lock()
        self._is_nacos_3 = True  # until a server says otherwise
        self._first = 0  # the server that answered last

    async def log_in(self) -> Token | None:
        """Get an access token, and use it. Raises StartError, UnreachableError."""
        self._token = await check_login(self._settings)
        return self._token

    async def choose_client_ip(self) -> str:
        """Choose the address that gray publishing goes by: the one that we are registered under.

        Empty where no interface leads to a server.
        """
        try:
            self._client_ip = self._settings.discovery.ip or await asyncio.to_thread(
                local_address, self._settings.server_addr
            )
        except StartError:
            self._client_ip = ""
        return self._client_ip

    async def get_config(self, data_id: str, group: str) -> str | None:
        """Read a document, None where it does not exist. Raises NacosForbiddenError, NacosError."""
        faults: list[str] = []
        servers = self._settings.server_addr
        for turn in range(len(servers)):
            index = (self._first + turn) % len(servers)
            try:
                async with asyncio.timeout(self._timeout):
                    content = await self._read(servers[index], data_id, group)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                faults.append(f"{servers[index]}: {str(error) or 'no answer in time'}")
            else:
                self._first = index
                return content
        raise NacosError(f"Nacos cannot be asked for {data_id} ({'; '.join(faults)})")

    async def _read(self, server: str, data_id: str, group: str) -> str | None:
        used = self._token
        connector = nacos_connector(self._settings)
        async with aiohttp.ClientSession(with_scheme(server), connector=connector) as session:
            try:
                return await self._read_settled(session, data_id, group)
            except _RefusedError:
                # The token may be too old, or of a server that has been given a new key since.
                await self._renew(used)
            try:
                return await self._read_settled(session, data_id, group)
            except _RefusedError as error:
                raise NacosForbiddenError(
                    f"Nacos at {server} forbids the user '{self._settings.username}'"
                    f" to read {data_id}"
                ) from error

    async def _read_settled(
        self, session: aiohttp.ClientSession, data_id: str, group: str
    ) -> str | None:
        while True:
            try:
                if self._is_nacos_3:
                    return await self._read_v3(session, data_id, group)
                return await self._read_v1(session, data_id, group)
            except _NotOfferedError:
                self._is_nacos_3 = False
            except _BeingModifiedError:
                # Just published, and being written to disk there: a matter of milliseconds.
                await asyncio.sleep(_MOMENT)

    async def _read_v3(
        self, session: aiohttp.ClientSession, data_id: str, group: str
    ) -> str | None:
        query = {"dataId": data_id, "groupName": group}
        if self._settings.namespace:
            query["namespaceId"] = self._settings.namespace
        status, body = await self._get(session, "/nacos/v3/client/cs/config", query)
        answer = _json(body)
        # The page for an unknown address has no code: what has one is about the document.
        match answer.get("code"):
            case int(code) if code == _DONE:
                data = answer.get("data")
                return str(data["content"] or "") if isinstance(data, dict) else None
            case int(code) if code == _ABSENT:
                return None
            case int(code) if code == _BEING_MODIFIED:
                raise _BeingModifiedError
        if status in _NOT_OFFERED:
            raise _NotOfferedError
        raise ValueError(f"it answers {status}")

    async def _read_v1(
        self, session: aiohttp.ClientSession, data_id: str, group: str
    ) -> str | None:
        query = {"dataId": data_id, "group": group, "tenant": self._settings.namespace}
        status, body = await self._get(session, "/nacos/v1/cs/configs", query)
        if status == HTTPStatus.OK:
            return body
        if status == HTTPStatus.NOT_FOUND and _ABSENT_V1 in body:
            return None
        # It has neither interface, or was brought to Nacos 3 meanwhile.
        self._is_nacos_3 = True
        raise ValueError(f"it answers {status}")

    async def _get(
        self, session: aiohttp.ClientSession, path: str, query: dict[str, str]
    ) -> tuple[int, str]:
        headers = {"X-Forwarded-For": self._client_ip} if self._client_ip else {}
        if self._token is not None:
            headers["accessToken"] = self._token.text
        async with session.get(path, params=query, headers=headers) as response:
            if response.status in _REFUSED:
                raise _RefusedError
            if response.status == HTTPStatus.CONFLICT:
                raise _BeingModifiedError
            return response.status, (await response.read()).decode()

    async def _renew(self, used: Token | None) -> None:
        """Log in again, unless another read has just done or tried that."""
        async with self._logging_in:
            if self._token is not used:
                return
            now = asyncio.get_running_loop().time()
            if now - self._tried >= _RENEWAL_PAUSE:
                self._tried, self._refusal = now, ""
                try:
                    await self.log_in()
                except UnreachableError as error:
                    raise NacosError(str(error)) from error
                except StartError as error:
                    self._refusal = str(error)
            if self._refusal:
                raise NacosForbiddenError(self._refusal)


class _RefusedError(Exception):
    """401 or 403."""


class _NotOfferedError(Exception):
    """The server has no such interface: it is older than Nacos 3."""


class _BeingModifiedError(Exception):
    """The document is being written."""


def _json(body: str) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
