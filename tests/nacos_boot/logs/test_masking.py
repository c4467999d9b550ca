import time

import pytest

from nacos_boot.logs import masking
from nacos_boot.logs.masking import is_secret_name, know_secret_keys, know_secrets, masked

SECRETS = [
    "https://nacos/login?username=a&password=hunter2&x=1",
    "?access_token=hunter2&y=2",
    "access_token%3Dhunter2",
    "AccessToken: hunter2, TTL: 5",
    '{"accessToken":"hunter2","tokenTtl":5}',
    '{"type":"resume","token":"hunter2"}',
    '{"password": "my hunter2, and more of hunter2"}',
    r'"{\"password\":\"hunter2 hunter2\"}"',
    '{"password": "hunter2 was cut off he',
    "{'password': 'hunter2'}",
    r"{'password': 'it\'s hunter2'}",
    "password = hunter2",
    "password=*hunter2",
    "passphrase: hunter2",
    "RABBITMQ_PASSWORD=hunter2 HOME=/root",
    "spring.rabbitmq.password: 'hunter2'",
    "nacos.core.auth.plugin.nacos.token.secret.key=hunter2",
    "identity_key=hunter2",
    "Authorization: Bearer hunter2",
    "authorization: Basic hunter2",
    "Proxy-Authorization: Digest hunter2",
    "Authorization: hunter2",
    "{'Authorization': 'Basic hunter2'}",
    "(b'authorization', b'Bearer hunter2hunter2'), (b'x-api-key', b'hunter2')",
    "X-API-Key: hunter2",
    "api_key=b'hunter2'",
    "Cookie: session=hunter2; theme=hunter2",
    "{'Set-Cookie': 'session=hunter2; Path=/'}",
    "client_secret=hunter2;",
    "subprotocols bearer.hunter2-hunter2-hunter2, cluster.v1",
    "header Bearer hunter2.hunter2.hunter2",
    "header Basic Hunter2hunter2==",
    "the token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.hunter2 is over",
    "amqp://guest:hunter2@rabbit:5672/",
    "rediss://:hunter2@redis:6379/0",
    "https://team:hunter2@nacos/nacos?x=1",
]


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_masked(text: str) -> None:
    assert "hunter2" not in masked(text)
    assert "******" in masked(text)


@pytest.mark.parametrize("text", SECRETS)
def test_masking_twice_changes_nothing(text: str) -> None:
    assert masked(masked(text)) == masked(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("?access_token=hunter2&y=2", "?access_token=******&y=2"),
        ('{"password":"a b","user":"c"}', '{"password":"******","user":"c"}'),
        ("amqp://guest:pw@rabbit:5672/", "amqp://guest:******@rabbit:5672/"),
        ("Authorization: Basic dXNlcjpwdw==", "Authorization: Basic ******"),
    ],
)
def test_what_stands_around_a_secret_stays(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "check spring.cloud.nacos.username and password",
        "the bearer token is missing",
        "a basic misunderstanding",
        "demo.mode: 'slow' -> 'fast'",
        "demo.password: (unset) -> ******",
        "tokens: 5",
        "asked http://127.0.0.1:8848/nacos of mail@example.org",
    ],
)
def test_other_texts_are_left_alone(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize("text", ["a-" * 50_000, "password" * 10_000, "password='" * 10_000])
def test_a_long_text_takes_no_longer_than_its_length_asks(text: str) -> None:
    begin = time.perf_counter()
    masked(text)
    assert time.perf_counter() - begin < 2


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("spring.rabbitmq.password", True),
        ("NACOS_CORE_AUTH_SECRET", True),
        ("demo.api-key", True),
        ("demo.apiKeys[0]", True),
        ("X-API-Key", True),
        ("authorization", True),
        ("demo.keyboard", False),
        ("spring.rabbitmq.host", False),
    ],
)
def test_names_of_secrets(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


@pytest.fixture
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_known", masking._KnownSecrets())


def test_what_is_known_as_a_secret_is_masked_wherever_it_stands(nothing_known: None) -> None:
    text = "as correct horse (battery) and correct horse, guest wrote"
    assert masked(text) == text
    know_secrets(["correct horse", "guest", ""])
    know_secrets(["correct horse (battery)"])
    assert masked(text) == "as ****** and ******, guest wrote"


def test_keys_that_are_known_to_be_secrets(nothing_known: None) -> None:
    know_secret_keys(["shop.pin"])
    assert all(is_secret_name(name) for name in ("shop.pin", "shop.pin[0]", "shop.pin.one"))
    assert not is_secret_name("shop.pins")
