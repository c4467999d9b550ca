from typing import Any

import pytest
from pydantic import BaseModel

from nacos_boot.settings.bind import MASK, Bound, SettingsError, bind, display
from nacos_boot.settings.sources import PropertySource
from tests.nacos_boot.samples import DemoSettings


def bound(
    *trees: dict[str, Any],
    environ: dict[str, str] | None = None,
    arguments: dict[str, Any] | None = None,
) -> Bound[DemoSettings]:
    sources = [PropertySource(f"document-{index}.yml", tree) for index, tree in enumerate(trees)]
    overrides = [PropertySource("the command line", arguments)] if arguments else []
    return bind(DemoSettings, sources, environ or {}, overrides)


def problem_of(*trees: dict[str, Any], environ: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        bound(*trees, environ=environ)
    assert len(caught.value.problems) == 1
    return str(caught.value)


LOW = {"demo": {"limits": {"max-connections": 200}}}
HIGH = {"demo": {"limits": {"max-connections": 300}}}
VARIABLE = {"DEMO_LIMITS_MAXCONNECTIONS": "400"}
ARGUMENT = {"demo": {"limits": {"max-connections": "500"}}}


@pytest.mark.parametrize(
    ("trees", "environ", "arguments", "expected", "origin"),
    [
        ([], {}, {}, 100, "the defaults"),
        ([LOW], {}, {}, 200, "document-0.yml"),
        ([LOW, HIGH], {}, {}, 300, "document-1.yml"),
        ([LOW, HIGH], VARIABLE, {}, 400, "the environment"),
        ([LOW, HIGH], VARIABLE, ARGUMENT, 500, "the command line"),
    ],
)
def test_the_higher_source_wins(
    trees: list[dict[str, Any]],
    environ: dict[str, str],
    arguments: dict[str, Any],
    expected: int,
    origin: str,
) -> None:
    result = bound(*trees, environ=environ, arguments=arguments)
    assert result.settings.demo.limits.max_connections == expected
    assert result.merged.origin_of("demo.limits.max-connections") == origin


def test_a_section_takes_its_keys_from_several_sources() -> None:
    result = bound(
        {"demo": {"mode": "fast", "limits": {"maxConnections": 200}}},
        {"demo": {"limits": {"warn-at": 150}}},
        environ={"DEMO_LIMITS_MAX_CONNECTIONS": "400"},
    )
    assert result.settings.demo.mode == "fast"
    assert result.settings.demo.limits.max_connections == 400
    assert result.settings.demo.limits.warn_at == 150


@pytest.mark.parametrize("empty", [{"demo": None}, {"demo": {"limits": None}}, {"demo": {}}])
def test_a_section_whose_keys_are_all_commented_out_has_its_defaults(empty: dict[str, Any]) -> None:
    assert bound(empty).settings == DemoSettings()


def test_lists_are_replaced_as_a_whole() -> None:
    result = bound({"demo": {"names": ["a", "b"]}}, {"demo": {"names": ["c"]}})
    assert result.settings.demo.names == ("c",)


def test_placeholders_are_resolved_against_the_merged_tree() -> None:
    result = bound(
        {"demo": {"limits": {"warn-at": "${demo.limits.max-connections:0}0"}}},
        {"demo": {"limits": {"max-connections": "${MAX:10}00"}}},
        environ={"MAX": "9", "DEMO_LIMITS_WARNAT": "${MAX}"},
    )
    assert result.settings.demo.limits.max_connections == 900
    assert result.settings.demo.limits.warn_at == 9
    assert result.merged.tree["demo"]["limits"]["max-connections"] == "900"


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        pytest.param(
            {"demo": {"mode": "sideways"}},
            "document-0.yml: demo.mode = 'sideways': Input should be 'slow' or 'fast'",
            id="not one of the values",
        ),
        pytest.param(
            {"demo": {"limits": {"max-connections": "many"}}},
            "document-0.yml: demo.limits.max-connections = 'many': Input should be a valid"
            " integer, unable to parse string as an integer",
            id="wrong type",
        ),
        pytest.param(
            {"demo": {"limits": {"max-connections": None}}},
            "document-0.yml: demo.limits.max-connections = (empty): Input should be a valid"
            " integer",
            id="no value",
        ),
        pytest.param(
            {"demo": {"interval": "soon"}},
            "document-0.yml: demo.interval = 'soon': expected a duration such as 500ms, 15s, 2m"
            " or PT15S",
            id="no duration",
        ),
        pytest.param(
            {"demo": {"limits": {"max-conections": 5}}},
            "document-0.yml: demo.limits.max-conections = '5': this key is not known here;"
            " expected one of the documented keys",
            id="unknown key",
        ),
        pytest.param(
            {"demo": {"limit": {"warn-at": 5}}},
            "document-0.yml: demo.limit = (section): this key is not known here;"
            " expected one of the documented keys",
            id="unknown section",
        ),
        pytest.param(
            {"demo": {"limits": {"max-connections": 40}}},
            "document-0.yml: demo.limits = (section): warn-at 50 must be below max-connections 40",
            id="a rule between two keys",
        ),
        pytest.param(
            {"demo": {"limits": 7}},
            "document-0.yml: demo.limits = '7': Input should be a valid dictionary or instance of"
            " LimitsSection",
            id="a value for a section",
        ),
        pytest.param(
            {"demo": {"names": ["a", ["b"]]}},
            "document-0.yml: demo.names[1] = '['b']': Input should be a valid string",
            id="in a list",
        ),
        pytest.param(
            {"demo": {"mode": "${MODE}"}},
            "document-0.yml: demo.mode = '${MODE}': the placeholder '${MODE}' has no value:"
            " set MODE in the environment, or give a default as in '${MODE:value}'",
            id="placeholder",
        ),
        pytest.param(
            {"demo": {"names": ["a", "${NAME}"]}},
            "document-0.yml: demo.names[1] = '['a', '${NAME}']': the placeholder '${NAME}' has no"
            " value: set NAME in the environment, or give a default as in '${NAME:value}'",
            id="placeholder in a list",
        ),
    ],
)
def test_an_error_names_document_key_value_and_what_was_expected(
    tree: dict[str, Any], expected: str
) -> None:
    assert problem_of(tree) == expected


def test_an_error_names_the_source_that_gave_the_value() -> None:
    good = {"demo": {"mode": "fast"}}
    assert problem_of(good, environ={"DEMO_MODE": "x"}).startswith("the environment: demo.mode =")
    assert problem_of(good, {"demo": {"mode": "x"}}).startswith("document-1.yml: demo.mode =")


def test_a_key_that_is_required() -> None:
    class Needed(BaseModel):
        name: str

    with pytest.raises(SettingsError) as caught:
        bind(Needed, [], {})
    assert str(caught.value) == "the defaults: name = (not set): this key is required"


def test_every_problem_is_found_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        bound({"demo": {"mode": "x", "interval": "y"}}, {"server": {"port": "z"}})
    assert [problem.key for problem in caught.value.problems] == [
        "demo.mode",
        "demo.interval",
        "server.port",
    ]
    for key in ("demo.mode = 'x'", "demo.interval = 'y'", "server.port = 'z'"):
        assert key in str(caught.value)


def test_a_great_many_problems_are_counted_not_all_told() -> None:
    with pytest.raises(SettingsError) as caught:
        bound({"demo": {f"typo{number}": number for number in range(500)}})
    assert len(caught.value.problems) == 500
    assert str(caught.value).endswith("; and 480 more")


def test_a_long_value_is_cut() -> None:
    assert len(problem_of({"demo": {"mode": "x" * 5000}})) < 400


def test_keys_outside_our_sections_are_passed_over() -> None:
    assert bound({"management": {"port": 1}, "server": {"servlet": "x"}}).settings == DemoSettings()


@pytest.mark.parametrize(
    "tree",
    [
        {"demo": {"password": ["hunter2"]}},
        {"demo": {"api-key": "hunter2"}},
        {"demo": {"keys": ["hunter2"]}},
        {"demo": {"signingKey": "hunter2"}},
        {"demo": {"SIGNING_KEY": "hunter2"}},
        {"demo": {"accessToken": "hunter2"}},
        {"demo": {"client-secret": "hunter2"}},
        {"demo": {"password": "hunter2${MISSING}"}},
    ],
)
def test_a_secret_is_masked_in_an_error(tree: dict[str, Any]) -> None:
    message = problem_of(tree)
    assert "hunter2" not in message
    assert MASK in message


@pytest.mark.parametrize(
    ("key", "masked"),
    [
        ("spring.rabbitmq.password", True),
        ("demo.api-keys[0]", True),
        ("demo.key", True),
        ("demo.keys.alice", True),
        ("demo.key-prefix", False),
        ("demo.monkey", False),
        ("demo.keyboard", False),
    ],
)
def test_which_keys_are_secret(key: str, masked: bool) -> None:
    assert (display(key, "value") == MASK) is masked
