"""Documents of settings: any text gives settings or says what is wrong, and soon."""

import contextlib
import time
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from gateway_lb.settings import GatewaySettings
from nacos_boot.documents.activation import activated
from nacos_boot.documents.error import DocumentError
from nacos_boot.documents.parse import DocumentKind, parse
from nacos_boot.settings.bind import SettingsError, bind
from nacos_boot.tools import setting_list
from service.settings import NodeSettings

SECONDS = 5.0

KEYS = sorted(
    {
        setting.key
        for model in (NodeSettings, GatewaySettings)
        for setting in setting_list.settings_of(model)
    }
)
words = st.sampled_from(
    [
        "1",
        "-1",
        "0",
        "1e999",
        "15s",
        "-5ms",
        "PT5S",
        "true",
        "off",
        "~",
        "routed",
        "never",
        "${A:1}",
        "${",
        "${${A}}",
        "[1, 2]",
        "{a: b}",
        "*/10 * * * * *",
        "* * *",
        "0.1",
        "9" * 400,
        "é",
        "'",
        "&a x",
        "*a",
        "!!python/object:x {}",
        "|",
        "> x",
        "- a",
        "#",
        '"',
        "\\u00e9",
        "",
    ]
) | st.text(max_size=8)
odd_keys = st.sampled_from([*KEYS, "websocket", "spring", "a[0]", "a[5]", "spring.profiles.active"])
lines = st.builds(
    lambda indent, key, between, value: f"{indent}{key}{between}{value}",
    st.sampled_from(["", "", "", "  ", "\t", "- "]),
    odd_keys | st.text(max_size=4),
    st.sampled_from([": ", ": ", "=", ":", " "]),
    words,
)
texts = st.lists(lines, max_size=8).map("\n".join) | st.text(max_size=60)
json_texts = st.dictionaries(odd_keys, words, max_size=4).map(
    lambda tree: "{" + ",".join(f'"{key}": {value}' for key, value in tree.items()) + "}"
)


def settings_of(text: str, kind: DocumentKind, model: type[BaseModel]) -> None:
    began = time.monotonic()
    with contextlib.suppress(DocumentError, SettingsError):
        source = activated("doc", parse(text, kind), ["dev"]).source
        assert isinstance(bind(model, [source], {"A": "1"}).settings, model)
    assert time.monotonic() - began < SECONDS


@pytest.mark.parametrize("model", [NodeSettings, GatewaySettings])
@given(text=texts | json_texts, kind=st.sampled_from(get_args(DocumentKind)))
def test_any_text_gives_settings_or_an_error(
    model: type[BaseModel], text: str, kind: DocumentKind
) -> None:
    settings_of(text, kind, model)


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.lists(st.integers(0, 6), max_size=8), st.booleans()),
        min_size=1,
        max_size=8,
    )
)
def test_aliases_do_not_multiply_time(levels: list[tuple[int, list[int], bool]]) -> None:
    text = "".join(
        f"k{number}: &a{anchor} "
        + (
            f"[{', '.join(f'*a{name}' for name in used)}]"
            if listed
            else f"{{<<: [{', '.join(f'*a{name}' for name in used)}]}}"
        )
        + "\n"
        for number, (anchor, used, listed) in enumerate(levels)
    )
    settings_of("a: &a0 {x: 1}\n" + text, "yml", NodeSettings)


BOMB = "a0: &a0 x\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]\n" for n in range(1, 12))


@pytest.mark.parametrize("kind", get_args(DocumentKind))
@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "[" * 500_000,
        "{" * 500_000,
        '{"a":' * 150_000,
        "a:\n" + "".join(" " * n + "a:\n" for n in range(1, 1200)),
        "- " * 400_000,
        "? " * 400_000,
        "a: " + "'" * 900_000,
        "a: !!" + "x" * 900_000,
        "&a " * 300_000,
        "a" * 900_000,
        "a." * 400_000,
        "a[0]" * 200_000,
        "\\\n" * 400_000,
        "a: ${" * 180_000,
        "a: " + "${b:" * 200_000 + "}" * 150_000,
        "a=1\n" * 200_000,
        "#---\n" * 190_000,
        "---\n" * 240_000,
        "".join(f"k{n}: v\n" for n in range(90_000)),
        "\ufeff" * 300_000,
        "a: 1_" + "1_" * 400_000,
        "a: 1" + ":59" * 290_000,
        "%YAML 1.1\n" * 90_000,
    ],
    ids=lambda text: text[:12].encode("unicode_escape").decode(),
)
def test_no_text_takes_long(kind: DocumentKind, text: str) -> None:
    settings_of(text, kind, NodeSettings)
