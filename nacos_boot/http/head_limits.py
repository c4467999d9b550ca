"""Limits of a request's head that follow the settings."""

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol, TypeVar

from pydantic import BaseModel

from nacos_boot.config.live import LiveSettings
from nacos_boot.http.protocol import HttpProtocol, http_protocol

T = TypeVar("T", bound=BaseModel)


class HeadLimits(Protocol):
    """A section of settings that says how long a head may be, in bytes, and may take."""

    @property
    def head_size(self) -> int:
        """Longest head in bytes."""

    @property
    def head_timeout(self) -> timedelta:
        """Time to the end of the head."""


def limited_http(live: LiveSettings[T], limits: Callable[[T], HeadLimits]) -> type[HttpProtocol]:
    """Give the class of a program's connections, whose limits are those of the settings."""
    http = http_protocol()

    def use(settings: T) -> None:
        found = limits(settings)
        http.head_limit = found.head_size
        http.head_timeout = found.head_timeout.total_seconds()

    use(live.current)
    live.subscribe(lambda _, new: use(new))
    return http
