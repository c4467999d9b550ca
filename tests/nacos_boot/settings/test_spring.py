import pytest
from pydantic import ValidationError

from nacos_boot.documents.parse import parse
from nacos_boot.settings.bind import bind
from nacos_boot.settings.section import OpenSection
from nacos_boot.settings.sources import PropertySource
from nacos_boot.settings.spring import LoggingSection, ServerSection


class Settings(OpenSection):
    logging: LoggingSection = LoggingSection()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"root": "INFO"}, {"root": "INFO"}),
        ({"org": {"example": "warn"}}, {"org.example": "warn"}),
        ({"app": "INFO", "app.db": "DEBUG"}, {"app": "INFO", "app.db": "DEBUG"}),
        ({"app": False}, {"app": "OFF"}),
    ],
)
def test_levels_by_logger_name(written: dict[str, object], expected: dict[str, str]) -> None:
    assert LoggingSection.model_validate({"level": written}).level == expected


@pytest.mark.parametrize("level", ["LOUD", "", None, 7, True])
def test_a_level_that_does_not_exist(level: object) -> None:
    with pytest.raises(ValidationError, match=r"app\.db: .* is no level: expected one of TRACE"):
        LoggingSection.model_validate({"level": {"app": {"db": level}}})


def test_levels_are_a_mapping() -> None:
    with pytest.raises(ValidationError, match="valid dictionary"):
        LoggingSection.model_validate({"level": "INFO"})


@pytest.mark.parametrize("port", [-1, 65_536, "many"])
def test_a_port_that_does_not_exist(port: object) -> None:
    with pytest.raises(ValidationError):
        ServerSection.model_validate({"port": port})


def test_a_loggers_name_in_any_notation() -> None:
    written = {"[org.example]": "WARN", "org": {"[other.part]": "info", "deep": {"er": "DEBUG"}}}
    expected = {"org.example": "WARN", "org.other.part": "info", "org.deep.er": "DEBUG"}
    assert LoggingSection.model_validate({"level": written}).level == expected
    text = 'logging.level:\n  "[org.example]": WARN\n  org.example.db: DEBUG'
    section = bind(Settings, [PropertySource("a.yml", parse(text)[0].tree)], {}).settings.logging
    assert section.level == {"org.example": "WARN", "org.example.db": "DEBUG"}


def test_groups_of_loggers() -> None:
    section = LoggingSection.model_validate({"group": {"data": "a.b, c", "more": ["d"]}})
    assert section.group == {"data": ("a.b", "c"), "more": ("d",)}


@pytest.mark.parametrize(
    ("written", "form"), [("ecs", "ecs"), ("LOGSTASH", "logstash"), ("", ""), (None, "")]
)
def test_the_form_of_the_log(written: str | None, form: str) -> None:
    logging = LoggingSection.model_validate({"structured": {"format": {"console": written}}})
    assert logging.structured.format.console == form


def test_a_form_that_does_not_exist() -> None:
    with pytest.raises(ValidationError, match="'ecs' or 'logstash'"):
        LoggingSection.model_validate({"structured": {"format": {"console": "xml"}}})
