"""Origins: patterns as in Spring's allowedOriginPatterns, and what they allow."""

import pytest

from service.auth.origins import Origins, checked_pattern


def allow(patterns: list[str], *origins: str) -> bool:
    return Origins([checked_pattern(pattern) for pattern in patterns]).allow(origins)


@pytest.mark.parametrize(
    ("pattern", "origin"),
    [
        ("*", "https://any.example"),
        ("*", "null"),
        ("*", "nonsense"),
        ("https://app.example.com", "https://app.example.com"),
        ("https://App.example.com/", "https://app.example.com"),
        ("https://app.example.com", "HTTPS://APP.EXAMPLE.COM"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("https://app.example.com", "https://app.example.com:443"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("https://*.example.com", "https://a.example.com"),
        ("https://*.example.com", "https://a.b.example.com"),
        ("https://*.example.com:[8080,8443]", "https://a.example.com:8443"),
        ("https://*.example.com:[443,8443]", "https://a.example.com"),
        ("http://localhost:[*]", "http://localhost:5173"),
        ("http://localhost:[*]", "http://localhost"),
        ("https://app-*.example.com", "https://app-42.example.com"),
        ("null", "null"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_an_allowed_origin(pattern: str, origin: str) -> None:
    assert allow(["https://other.example", pattern], origin)


@pytest.mark.parametrize(
    ("pattern", "origin"),
    [
        ("https://app.example.com", "http://app.example.com"),
        ("https://app.example.com", "https://app.example.com:8443"),
        ("https://app.example.com", "https://app.example.com.evil.org"),
        ("https://app.example.com", "https://appxexample.com"),
        ("https://app.example.com", "https://app.example.com/"),
        ("https://app.example.com", "https://app.example.com@evil.org"),
        ("https://app.example.com", "null"),
        ("https://app.example.com", ""),
        ("https://*.example.com", "https://example.com"),
        ("https://*.example.com", "https://.example.com"),
        ("https://*.example.com", "https://evil.org/.example.com"),
        ("https://*.example.com", "https://evil.org:1.example.com"),
        ("https://*.example.com", "https://evil.org#.example.com"),
        ("https://*.example.com", "https://a.example.com:8443"),
        ("https://*.example.com", "https://a.example.com\n"),
        ("https://*.example.com:[8080,8443]", "https://a.example.com"),
        ("http://localhost:[*]", "http://localhost:"),
        ("null", "https://null"),
    ],
)
def test_an_origin_that_is_not_allowed(pattern: str, origin: str) -> None:
    # A header's value has no line break; what is around it is no part of it.
    allowed = allow(["https://other.example", pattern], origin)
    assert allowed == (origin.endswith("\n"))


def test_no_browser_no_origin() -> None:
    assert allow(["https://a.example"])
    assert allow([])
    assert not allow([], "https://a.example")


def test_two_origins_are_refused_unless_any_will_do() -> None:
    assert not allow(["https://a.example"], "https://a.example", "https://a.example")
    assert allow(["*"], "https://a.example", "https://b.example")


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "app.example.com",
        "https://",
        "https://a.example/path",
        "https://a.example:port",
        "https://a.example:*",
        "https://a b",
        "https://a.example:[80;90]",
        "https://user@a.example",
        "*.example.com",
        "https://(a|b).example.com",
    ],
)
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(ValueError, match="expected an origin such as"):
        checked_pattern(pattern)
