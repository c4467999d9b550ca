"""One endpoint of the actuator: its operations, by HTTP method and by what follows its name."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """A request to an endpoint.

    `rest` is the path below its name, percent-decoded, empty without one; `query` has each name's
    values; `body` is the JSON that came, None for none. `authorized` is False for a caller who may
    have a status and nothing else.
    """

    rest: str = ""
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    body: Any = None
    accept: str = ""
    authorized: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answers: JSON, or text of a type of its own. None: no body.

    `v2` is the body for a caller that asks for Spring Boot 2.0's content type, where it differs.
    """

    body: Any
    status: int = 200
    content_type: str = ""
    v2: Any = None


class CallError(Exception):
    """A request that an endpoint cannot serve; the message says what was expected."""

    status = 400


class NotFoundError(CallError):
    """There is nothing below the endpoint under the path that was asked for."""

    status = 404


class UnsupportedTypeError(CallError):
    """A body came that is not JSON by its content type."""

    status = 415


Handler = Callable[[Call], Answer | Awaitable[Answer]]
"""May raise CallError."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What one method does.

    `below` is Spring's name for the path that follows the endpoint's name; empty: none may follow.
    It is one segment, or with `any_depth` any number of them.
    """

    method: str
    handler: Handler
    below: str = ""
    any_depth: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint `/actuator/<name>`."""

    name: str
    operations: Sequence[Operation]

    def links(self, base: str) -> dict[str, dict[str, Any]]:
        """Give its links for the index, by Spring's names, under the actuator's own URL."""
        links: dict[str, dict[str, Any]] = {}
        for operation in self.operations:
            if operation.below:
                star = "*" if operation.any_depth else ""
                href = f"{base}/{self.name}/{{{star}{operation.below}}}"
                links[f"{self.name}-{operation.below}"] = {"href": href, "templated": True}
            else:
                links[self.name] = {"href": f"{base}/{self.name}", "templated": False}
        return links

    def handlers(self, rest: str) -> dict[str, Handler]:
        """Give the handlers for a path below the endpoint, by method; none where there is none."""
        return {
            operation.method: operation.handler
            for operation in self.operations
            if bool(operation.below) == bool(rest) and (operation.any_depth or "/" not in rest)
        }
