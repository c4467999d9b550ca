"""TLS by settings: what is used, what is refused, what is read again."""

import asyncio
import contextlib
import logging
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import pytest
from pydantic import ValidationError, model_validator

from devtools.ports import LOOPBACK
from nacos_boot.http.server import HttpServer
from nacos_boot.settings import OpenSection
from nacos_boot.start.startup import StartError
from nacos_boot.tls.contexts import client_context
from nacos_boot.tls.pem import TlsError
from nacos_boot.tls.port import PortTls, port_tls
from nacos_boot.tls.settings import ClientSslSection, ServerSslSection, use_bundles
from tests.certificates import Authority, Issued, serial_of


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def server_settings(certificate: object, key: object, **more: Any) -> ServerSslSection:
    return ServerSslSection(certificate=str(certificate), certificate_private_key=str(key), **more)


async def answer_ok(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for _ in range(2):
            message = await receive()
            await send({"type": message["type"] + ".complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["scheme"].encode()})


class Port:
    """A server that speaks TLS, and what its clients see."""

    def __init__(self, tls: PortTls) -> None:
        self.server = HttpServer(answer_ok, address=LOOPBACK, port=0, upgrade_class=None, tls=tls)

    async def __aenter__(self) -> Self:
        await self.server.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.server.close(timedelta(seconds=1))

    async def ask(self, context: ssl.SSLContext) -> tuple[int, str]:
        """Give the serial number of its certificate, and the body of its answer."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self.server.port, ssl=context)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        serial = serial_of(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        writer.close()
        return serial, answer.partition(b"\r\n\r\n")[2].decode()


@pytest.fixture
def issued(authority: Authority) -> Issued:
    return authority.issue()


async def test_a_port_serves_by_tls(authority: Authority, issued: Issued, tmp_path: Path) -> None:
    certificate, key = issued.write(tmp_path)
    async with Port(PortTls(server_settings(f"file:{certificate}", key))) as port:
        serial, body = await port.ask(authority.client())
    assert serial == issued.serial
    assert "https" in body


async def test_certificate_and_key_may_stand_in_the_settings(
    authority: Authority, issued: Issued
) -> None:
    async with Port(PortTls(server_settings(issued.certificate, issued.key))) as port:
        assert (await port.ask(authority.client()))[0] == issued.serial


async def test_a_key_may_have_a_password(authority: Authority) -> None:
    issued = authority.issue(password=b"open")
    settings = server_settings(issued.certificate, issued.key, key_password="open")
    async with Port(PortTls(settings)) as port:
        assert (await port.ask(authority.client()))[0] == issued.serial
    wrong = server_settings(issued.certificate, issued.key, key_password="shut")
    with pytest.raises(StartError, match=r"server\.ssl: .*private key"):
        PortTls(wrong)


async def test_a_changed_file_is_used_for_new_connections_only_when_it_is_whole(
    authority: Authority, issued: Issued, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate, key = issued.write(tmp_path)
    tls = PortTls(server_settings(certificate, key))
    assert not tls.look()
    async with Port(tls) as port:
        fresh = authority.issue()
        certificate.write_text(fresh.certificate, encoding="ascii")
        with caplog.at_level(logging.WARNING):
            assert not tls.look()
        assert str(certificate) in caplog.text
        assert "the one in use stays" in caplog.text
        assert (await port.ask(authority.client()))[0] == issued.serial
        key.write_text(fresh.key, encoding="ascii")
        assert tls.look()
        assert (await port.ask(authority.client()))[0] == fresh.serial


async def test_clients_may_be_asked_for_a_certificate(
    authority: Authority, issued: Issued, tmp_path: Path
) -> None:
    settings = server_settings(
        issued.certificate, issued.key, trust_certificate=authority.text, client_auth="need"
    )
    own_certificate, own_key = authority.issue().write(tmp_path)
    async with Port(PortTls(settings)) as port:
        # By TLS 1.3 a client learns after its own handshake that it was refused.
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            assert await port.ask(authority.client()) == (issued.serial, "")
        with_own = ClientSslSection(
            trust_certificate=str(authority.file),
            certificate=str(own_certificate),
            certificate_private_key=str(own_key),
        )
        assert (await port.ask(client_context(with_own)))[0] == issued.serial


async def test_a_client_trusts_only_what_it_is_told(
    authority: Authority, issued: Issued, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    async with Port(PortTls(server_settings(issued.certificate, issued.key))) as port:
        for trusted in ("", str(Authority(other, "others").file)):
            with pytest.raises(ssl.SSLCertVerificationError):
                await port.ask(client_context(ClientSslSection(trust_certificate=trusted)))


async def test_the_address_must_be_named_unless_the_settings_say_otherwise(
    authority: Authority,
) -> None:
    elsewhere = authority.issue("192.0.2.1")
    async with Port(PortTls(server_settings(elsewhere.certificate, elsewhere.key))) as port:
        with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
            await port.ask(client_context(ClientSslSection(trust_certificate=authority.text)))
        lax = ClientSslSection(trust_certificate=authority.text, verify_hostname=False)
        assert (await port.ask(client_context(lax)))[0] == elsewhere.serial


def test_a_context_is_made_once_for_the_files_that_it_is_of(
    authority: Authority, tmp_path: Path
) -> None:
    settings = ClientSslSection(trust_certificate=str(authority.file))
    first = client_context(settings)
    assert client_context(settings) is first
    authority.file.write_text(Authority(tmp_path, "later").text, encoding="ascii")
    assert client_context(settings) is not first


def test_no_tls_without_a_certificate_or_when_it_is_switched_off(issued: Issued) -> None:
    assert port_tls(ServerSslSection()) is None
    assert port_tls(ServerSslSection(bundle="ours", enabled=False)) is None
    assert port_tls(server_settings(issued.certificate, issued.key, enabled=False)) is None
    assert port_tls(server_settings(issued.certificate, issued.key)) is not None


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"certificate": "/nowhere.crt", "certificate_private_key": "/nowhere.key"}, "/nowhere"),
        ({"certificate": "-----BEGIN NONE", "certificate_private_key": "/x"}, "cannot be used"),
    ],
)
def test_what_cannot_be_used_is_named(settings: dict[str, str], told: str) -> None:
    with pytest.raises(StartError, match=told):
        PortTls(ServerSslSection(**settings))  # type: ignore[arg-type]  # a table of texts


def test_a_text_in_the_wrong_place_is_not_repeated(issued: Issued) -> None:
    in_one_line = issued.key.replace("\n", " ")
    for settings in (
        server_settings(in_one_line, issued.certificate),
        server_settings(issued.certificate, in_one_line),
    ):
        with pytest.raises(StartError) as told:
            PortTls(settings)
        assert in_one_line[40:80] not in str(told.value)


def test_who_cannot_be_trusted_is_named() -> None:
    with pytest.raises(TlsError, match=r"'/nowhere\.crt' cannot be used"):
        client_context(ClientSslSection(trust_certificate="/nowhere.crt"))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"certificate": "/a.crt"}, "certificate-private-key is missing"),
        ({"client_auth": "need"}, "needs trust-certificate"),
        ({"client_auth": "sometimes"}, "none"),
        # None of these may end as a port without TLS.
        ({"bundle": "ours"}, "certificate is missing"),
        ({"certificate_private_key": "/a.key"}, "certificate is missing"),
        ({"client_auth": "want", "trust_certificate": "/a.crt"}, "certificate is missing"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(
    settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValidationError, match=told):
        ServerSslSection(**settings)


class Model(OpenSection):
    """Settings with a section that may name a bundle."""

    ssl: ClientSslSection = ClientSslSection()

    @model_validator(mode="before")
    @classmethod
    def _bundles(cls, data: Any) -> Any:
        return use_bundles(data, ["ssl", "server.ssl"])


BUNDLES = {
    "ssl": {
        "bundle": {
            "pem": {
                "ours": {
                    "keystore": {"certificate": "/c", "private-key": "/k"},
                    "truststore": {"certificate": "/t"},
                }
            }
        }
    }
}


def test_a_bundle_fills_in_what_the_section_does_not_say() -> None:
    read = Model.model_validate({"spring": BUNDLES, "ssl": {"bundle": "ours", "certificate": "/d"}})
    assert read.ssl.enabled
    assert read.ssl.trust_certificate == "/t"
    assert read.ssl.certificate == "/d"
    assert read.ssl.certificate_private_key.get_secret_value() == "/k"


def test_a_bundle_can_be_switched_off() -> None:
    read = Model.model_validate({"spring": BUNDLES, "ssl": {"bundle": "ours", "enabled": False}})
    assert not read.ssl.enabled


def test_a_bundle_that_is_not_there_is_named() -> None:
    with pytest.raises(ValidationError, match=r"there is no spring\.ssl\.bundle\.pem\.theirs"):
        Model.model_validate({"spring": BUNDLES, "ssl": {"bundle": "theirs"}})


def test_keys_are_shown_nowhere(issued: Issued) -> None:
    assert issued.key not in repr(server_settings(issued.certificate, issued.key))
