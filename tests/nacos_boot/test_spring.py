import pytest
from pydantic import ValidationError

from nacos_boot.spring import LoggingSection, ServerSection


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
