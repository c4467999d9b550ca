import pytest

from nacos_boot.documents.activation import activated
from nacos_boot.documents.error import DocumentError
from nacos_boot.documents.parse import parse

TEXT = """\
mode: all
size: 1
---
spring.config.activate.on-profile: prod & eu
mode: prod
spring: {config: {import: "nacos:eu.yml"}}
---
spring:
  config:
    activate:
      onProfile: [prod, test]
size: 3
"""


@pytest.mark.parametrize(
    ("profiles", "expected", "lines"),
    [
        (None, {"mode": "all", "size": 1}, {"mode": 1, "size": 2}),
        ([], {"mode": "all", "size": 1}, {"mode": 1, "size": 2}),
        (["test"], {"mode": "all", "size": 3}, {"mode": 1, "size": 12}),
        (["prod", "eu"], {"mode": "prod", "size": 3}, {"mode": 5, "size": 12}),
    ],
)
def test_the_documents_of_the_active_profiles(
    profiles: list[str] | None, expected: dict[str, object], lines: dict[str, int]
) -> None:
    found = activated("a.yml", parse(TEXT), profiles)
    tree = {key: value for key, value in found.source.tree.items() if key != "spring"}
    assert tree == expected
    assert {key: found.source.lines[key] for key in lines} == lines
    assert found.named == {"prod", "eu", "test"}


def test_what_a_document_needs_to_be_activated_is_no_setting() -> None:
    found = activated("a.yml", parse("spring.config.activate.on-profile: a\nb: 1"), ["a"])
    assert found.source.tree == {"b": 1}


def test_imports_are_those_of_active_documents_in_their_order() -> None:
    text = "spring.config.import: nacos:all.yml\n---\n" + TEXT
    found = activated("a.yml", parse(text), ["prod", "eu"])
    assert [(item.value, item.line) for item in found.imports] == [
        ("nacos:all.yml", 1),
        ("nacos:eu.yml", 8),
    ]
    assert len(activated("a.yml", parse(text), ["test"]).imports) == 1


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            "a: 1\n---\nspring:\n  config.activate.on-profile: a\n  profiles.active: b",
            5,
            "spring.profiles.active cannot stand in a document that is for a profile",
        ),
        (
            "spring.config.activate.on-profile: x\nspring.profiles.include: b",
            2,
            "spring.profiles.include cannot stand",
        ),
        ("spring:\n  profiles: dev", 2, "spring.profiles is the old way"),
        ("spring:\n  profiles: [dev, test]", 2, "write spring.config.activate.on-profile"),
        ("spring.config.activate.on-profile: 'a | b & c'", 1, "mixes & and |"),
        ("spring.config.activate.on-profile: [a, 'b c']", 1, "'b c' is no profile expression"),
        ("spring.config.activate.on-profile: ''", 1, "must have 1 to 1000 characters"),
        ("spring.config.activate.on-profile: {a: b}", 1, "expected a text, with commas, or a list"),
        ("spring.config.activate.on-cloud-platform: kubernetes", 1, "is not honoured here"),
    ],
)
def test_what_is_wrong_with_a_condition(text: str, line: int, words: str) -> None:
    with pytest.raises(DocumentError) as caught:
        activated("a.yml", parse(text), ["x"])
    assert words in str(caught.value)
    assert caught.value.line == line
    assert caught.value.key


def test_profiles_cannot_be_set_in_a_file_for_a_profile() -> None:
    documents = parse("spring.profiles.active: b")
    assert activated("a.yml", documents, []).profile_keys
    with pytest.raises(DocumentError, match="cannot stand in a document that is for a profile"):
        activated("a-dev.yml", documents, ["dev"], of_profile=True)


def test_a_condition_may_stand_in_a_file_for_a_profile() -> None:
    documents = parse("spring.config.activate.on-profile: eu\na: 1")
    assert activated("a-dev.yml", documents, ["dev"], of_profile=True).source.tree == {}


def test_properties_have_conditions_too() -> None:
    text = "a=1\n#---\nspring.config.activate.on-profile=x, y\na=2"
    documents = parse(text, "properties")
    assert activated("a.properties", documents, ["y"]).source.tree == {"a": "2"}
    assert activated("a.properties", documents, []).source.tree == {"a": "1"}
