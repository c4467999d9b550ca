import io
import logging
from collections.abc import Iterator

import pytest

from nacos_boot import logs
from nacos_boot.logs import apply_levels, masked, set_up_logs, spring_level


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the program writes, with pytest's own handlers and every level put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in (*logs._QUIET, "demo", "demo.db")}
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    # With force=True, basicConfig closes the handlers that it finds.
    root.handlers[:] = []
    set_up_logs()
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("TRACE", logging.DEBUG),
        ("debug", logging.DEBUG),
        ("Info", logging.INFO),
        (" WARN ", logging.WARNING),
        ("WARNING", logging.WARNING),
        ("ERROR", logging.ERROR),
        ("FATAL", logging.CRITICAL),
        ("OFF", logging.CRITICAL + 10),
    ],
)
def test_springs_levels(name: str, level: int) -> None:
    assert spring_level(name) == level


def test_a_level_that_does_not_exist_names_those_that_do() -> None:
    with pytest.raises(ValueError, match="expected one of TRACE, DEBUG, INFO, WARN"):
        spring_level("LOUD")


def test_levels_are_set_and_taken_back(output: io.StringIO) -> None:
    demo, database, root = (logging.getLogger(name) for name in ("demo", "demo.db", ""))
    first = {"root": "WARN", "demo": "DEBUG", "demo.db": "OFF", "uvicorn": "DEBUG"}
    apply_levels({}, first)
    assert root.level == logging.WARNING
    assert demo.isEnabledFor(logging.DEBUG)
    assert not database.isEnabledFor(logging.CRITICAL)
    apply_levels(first, {"demo": "ERROR"})
    assert root.level == logging.INFO
    assert not database.isEnabledFor(logging.WARNING)
    assert database.isEnabledFor(logging.ERROR)
    assert logging.getLogger("uvicorn").level == logging.WARNING
    apply_levels({"demo": "ERROR"}, {})
    assert demo.isEnabledFor(logging.INFO)


def test_a_line_names_level_and_logger_and_noise_is_left_out(output: io.StringIO) -> None:
    logging.getLogger("demo").info("told of %s", "this")
    logging.getLogger("demo").debug("not of that")
    logging.getLogger("uvicorn.access").info("GET /?access_token=x")
    assert output.getvalue().endswith(" INFO    demo : told of this\n")
    assert output.getvalue().count("\n") == 1


SECRETS = [
    "https://nacos/login?username=a&password=hunter2&x=1",
    "?access_token=hunter2&y=2",
    "AccessToken: hunter2, TTL: 5",
    '{"accessToken":"hunter2","tokenTtl":5}',
    "{'password': 'hunter2'}",
    "password = hunter2",
    "Authorization: Bearer hunter2",
    "authorization: Basic hunter2",
    "X-API-Key: hunter2",
    "client_secret=hunter2;",
    "subprotocols bearer.hunter2-hunter2-hunter2, cluster.v1",
    "header Bearer hunter2.hunter2.hunter2",
]


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_masked(text: str) -> None:
    assert "hunter2" not in masked(text)
    assert "******" in masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "check spring.cloud.nacos.username and password",
        "the bearer token is missing",
        "demo.mode: 'slow' -> 'fast'",
        "tokens: 5",
    ],
)
def test_other_texts_are_left_alone(text: str) -> None:
    assert masked(text) == text


def test_secrets_are_masked_in_arguments_and_tracebacks(output: io.StringIO) -> None:
    log = logging.getLogger("demo")
    log.info("asked %s with %r", "/x?access_token=hunter2", {"password": "hunter2"})
    log.error("no login", exc_info=RuntimeError("refused: password=hunter2"))
    assert "hunter2" not in output.getvalue()
    assert output.getvalue().count("******") == 3
    assert "RuntimeError: refused" in output.getvalue()


def test_a_log_call_with_wrong_arguments_does_not_stop_the_program(
    output: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logging.getLogger("demo").info("%d of %d", "three")  # noqa: PLE1206 - the fault
