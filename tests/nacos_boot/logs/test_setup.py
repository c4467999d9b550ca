import io
import logging
import sys
import warnings
from collections.abc import Iterator
from unittest import mock

import pytest

from nacos_boot.logs.lines import Service
from nacos_boot.logs.setup import apply_logging, is_structured
from nacos_boot.settings.spring import LoggingSection
from tests.nacos_boot.log_output import Output, logging_set_up

VARIABLE = "LOGGING_STRUCTURED_FORMAT_CONSOLE"


@pytest.fixture
def output() -> Iterator[Output]:
    with logging_set_up() as output:
        yield output


def section(**logging: object) -> LoggingSection:
    return LoggingSection.model_validate(logging)


def structured(form: str) -> LoggingSection:
    return section(structured={"format": {"console": form}})


def test_a_line_names_level_and_logger_and_noise_is_left_out(output: Output) -> None:
    logging.getLogger("demo").info("told of %s", "this")
    logging.getLogger("demo").debug("not of that")
    logging.getLogger("uvicorn.access").info("GET /?access_token=x")
    assert output.text.endswith(" INFO    demo : told of this\n")
    assert output.text.count("\n") == 1


def test_secrets_are_masked_in_arguments_and_tracebacks(output: Output) -> None:
    log = logging.getLogger("demo")
    log.info("asked %s with %r", "/x?access_token=hunter2", {"password": "hunter2"})
    log.error("no login", exc_info=RuntimeError("refused: password=hunter2"))
    assert "hunter2" not in output.text
    assert output.text.count("******") == 3
    assert "RuntimeError: refused" in output.text


@pytest.mark.parametrize("form", ["", "ecs"])
def test_a_log_call_with_wrong_arguments_is_a_line_all_the_same(form: str) -> None:
    with logging_set_up(**{VARIABLE: form}) as output:
        logging.getLogger("demo").info("%d of %d", "password=hunter2")  # noqa: PLE1206 - the fault
        assert "%d of %d" in output.text
        assert "hunter2" not in output.text
        assert output.text.count("\n") == 1


def test_a_line_that_cannot_be_written_is_not_quoted_elsewhere(output: Output) -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError("no space left")

    console = logging.getLogger().handlers[0]
    assert isinstance(console, logging.StreamHandler)
    console.setStream(Full())
    with mock.patch("sys.stderr", io.StringIO()):
        logging.getLogger("demo").info("password=hunter2")
        assert isinstance(sys.stderr, io.StringIO)
        assert sys.stderr.getvalue() == ""


@pytest.mark.parametrize(
    ("value", "structured"), [("", False), ("ecs", True), (" Logstash ", True), ("nonsense", False)]
)
def test_the_environment_counts_from_the_first_line(value: str, structured: bool) -> None:
    with logging_set_up(**{VARIABLE: value}) as output:
        assert is_structured() is structured
        logging.getLogger("demo").info("first")
        assert output.text.startswith("{") is structured


def test_the_form_changes_while_the_program_runs(output: Output) -> None:
    log = logging.getLogger("demo")
    console = logging.getLogger().handlers[0]
    apply_logging(section(), Service("shop", "1.2.3"))
    log.info("one")
    for form in ("ecs", "logstash", ""):
        apply_logging(structured(form))
        log.info("then")
    text, ecs, logstash, last = output.text.splitlines()
    assert text.endswith("demo : one")
    assert '"service":{"name":"shop","version":"1.2.3"}' in ecs
    assert '"service_name":"shop"' in logstash
    assert last.endswith("demo : then")
    # What others have added to the handler, as the SDK's filter is, stays with it.
    assert console in logging.getLogger().handlers


def test_levels_and_groups_follow_the_settings(output: Output) -> None:
    demo, database = logging.getLogger("demo"), logging.getLogger("demo.db")
    apply_logging(section(level={"data": "TRACE"}, group={"data": "demo.db, demo.cache"}))
    assert database.isEnabledFor(logging.DEBUG)
    assert not demo.isEnabledFor(logging.DEBUG)
    apply_logging(section())
    assert not database.isEnabledFor(logging.DEBUG)


def test_a_secret_of_the_environment_is_masked_wherever_it_stands() -> None:
    with logging_set_up(MY_DB_PASSWORD="correct horse", HOME="/home/horse") as output:
        logging.getLogger("demo").info("is it correct horse? in /home/horse")
        assert output.text.endswith("is it ******? in /home/horse\n")


def test_pythons_warnings_are_lines_too() -> None:
    with logging_set_up(**{VARIABLE: "ecs"}) as output:
        warnings.warn("password=hunter2 is old", DeprecationWarning, stacklevel=1)
        logging.getLogger("demo").info("after it")
        assert output.objects[-1]["message"] == "after it"
        assert "hunter2" not in output.text
