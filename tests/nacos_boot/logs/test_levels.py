import logging
from collections.abc import Iterator

import pytest

from nacos_boot.logs.levels import TRACE, LogLevels, level_name, spring_level
from tests.nacos_boot.log_output import logging_set_up


@pytest.fixture
def levels() -> Iterator[LogLevels]:
    with logging_set_up():
        yield LogLevels()


ROOT, DEMO, DATABASE, WEB = (logging.getLogger(name) for name in ("", "demo", "demo.db", "uvicorn"))


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("TRACE", TRACE),
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
    assert level_name(level) == {"WARNING": "WARN"}.get(name, name.strip().upper())


def test_a_level_between_two_is_called_by_the_lower() -> None:
    assert [level_name(level) for level in (25, 1, 99)] == ["INFO", "TRACE", "OFF"]


def test_a_level_that_does_not_exist_names_those_that_do() -> None:
    with pytest.raises(ValueError, match="expected one of TRACE, DEBUG, INFO, WARN"):
        spring_level("LOUD")


def test_levels_are_set_and_taken_back(levels: LogLevels) -> None:
    levels.use({"root": "WARN", "demo": "DEBUG", "demo.db": "OFF", "uvicorn": "DEBUG"}, {})
    assert ROOT.level == logging.WARNING
    assert DEMO.isEnabledFor(logging.DEBUG)
    assert not DATABASE.isEnabledFor(logging.CRITICAL)
    levels.use({"demo": "ERROR"}, {})
    assert ROOT.level == logging.INFO
    assert not DATABASE.isEnabledFor(logging.WARNING)
    assert DATABASE.isEnabledFor(logging.ERROR)
    assert WEB.level == logging.WARNING
    levels.use({}, {})
    assert DEMO.isEnabledFor(logging.INFO)


def test_what_a_program_has_set_itself_comes_back(levels: LogLevels) -> None:
    DEMO.setLevel(logging.CRITICAL)
    levels.use({"demo": "DEBUG"}, {})
    levels.use({}, {})
    assert DEMO.level == logging.CRITICAL


def test_a_level_set_by_hand_holds_until_its_own_entry_changes(levels: LogLevels) -> None:
    levels.use({"demo": "WARN"}, {})
    levels.set("demo", "DEBUG")
    levels.use({"demo": "WARN", "demo.db": "ERROR"}, {})
    assert DEMO.level == logging.DEBUG
    levels.use({"demo": "INFO", "demo.db": "ERROR"}, {})
    assert DEMO.level == logging.INFO


def test_null_gives_a_logger_back_to_the_settings(levels: LogLevels) -> None:
    levels.use({"demo": "WARN", "root": "ERROR"}, {})
    for name in ("demo", "demo.db", "ROOT"):
        levels.set(name, "TRACE")
    assert (DEMO.level, DATABASE.level, ROOT.level) == (TRACE, TRACE, TRACE)
    for name in ("demo", "demo.db", "ROOT"):
        levels.set(name, None)
    assert (DEMO.level, DATABASE.level, ROOT.level) == (
        logging.WARNING,
        logging.NOTSET,
        logging.ERROR,
    )
    levels.set("demo.db", None)
    assert DATABASE.level == logging.NOTSET


def test_a_group_sets_its_members_and_a_loggers_own_entry_counts_more(levels: LogLevels) -> None:
    groups = {"shop": ("demo", "demo.db")}
    levels.use({"shop": "DEBUG", "demo.db": "ERROR"}, groups)
    assert (DEMO.level, DATABASE.level) == (logging.DEBUG, logging.ERROR)
    assert levels.group_level("shop") == "DEBUG"
    levels.set("shop", "trace")
    assert (DEMO.level, DATABASE.level) == (TRACE, TRACE)
    assert levels.group_level("shop") == "TRACE"
    levels.set("shop", None)
    assert (DEMO.level, DATABASE.level) == (logging.DEBUG, logging.ERROR)
    levels.use({}, {})
    assert (DEMO.level, DATABASE.level) == (logging.NOTSET, logging.NOTSET)


def test_a_group_that_is_always_there(levels: LogLevels) -> None:
    levels.use({"web": "INFO"}, {})
    assert WEB.level == logging.INFO


def test_a_level_that_is_none_changes_nothing(levels: LogLevels) -> None:
    levels.use({"demo": "WARN"}, {"shop": ("demo",)})
    for name in ("demo", "shop"):
        with pytest.raises(ValueError, match="expected one of"):
            levels.set(name, "LOUD")
    assert DEMO.level == logging.WARNING
    assert levels.group_level("shop") is None
