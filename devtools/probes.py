"""Asking a server on loopback whether it is ready. None of these raises on refusal."""

import json
import socket
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus

from devtools.ports import LOOPBACK

# A proxy set in the environment is not for loopback.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; status 0 when there was none."""

    status: int
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether the status is 200."""
        return self.status == HTTPStatus.OK

    def json(self) -> object:
        """Decode the body; None when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def http(url: str, form: dict[str, str] | None = None, *, timeout: float = 3.0) -> Answer:
    """GET `url`, or POST `form` to it."""
    data = None if form is None else urllib.parse.urlencode(form).encode()
    try:
        with _OPENER.open(url, data, timeout=timeout) as response:
            return Answer(response.status, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read())
    except (OSError, ValueError):
        # Refused, reset, timed out, or not HTTP yet.
        return Answer(0)


def accepts(port: int, *, timeout: float = 2.0) -> bool:
    """Whether a TCP connection to `port` is accepted."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout):
            return True
    except OSError:
        return False


def answers(port: int, request: bytes, expected: bytes, *, timeout: float = 2.0) -> bool:
    """Whether the server answers `request` with bytes that begin with `expected`."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(request)
            received = b""
            while len(received) < len(expected):
                part = connection.recv(len(expected) - len(received))
                if not part:
                    return False
                received += part
    except OSError:
        return False
    return received == expected
