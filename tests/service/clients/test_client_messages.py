"""What clients say, and the answers."""

import pytest

from service import metrics
from service.clients.client_messages import NotTextError, answer_to
from service.clients.frames import PONG, RESET


def ignored() -> float:
    [sample] = [s for m in metrics.CLIENT_MESSAGES_IGNORED.collect() for s in m.samples][:1]
    return sample.value


@pytest.mark.parametrize(
    ("message", "raw", "cluster"),
    [
        (b"ping", PONG, PONG),
        (b'{"type":"resume","token":"t"}', None, RESET),
        (b'{"token":{"x":[1]},"type":"resume"}', None, RESET),
        (b'{"type":"ack","id":"x"}', None, None),
    ],
)
def test_what_is_known_is_answered_by_form(
    message: bytes, raw: bytes | None, cluster: bytes | None
) -> None:
    assert answer_to(message, cluster_form=False) is raw
    before = ignored()
    assert answer_to(message, cluster_form=True) is cluster
    assert ignored() == before


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"PING",
        b"ping ",
        b"{",
        b"[]",
        b"null",
        b'"resume"',
        b'{"type":1}',
        b'{"type":"other"}',
        b'{"type":"\\ud800"}',
        '{"type":"ü"}'.encode(),
        b'{"a":' + b"[" * 60_000,
    ],
    ids=lambda message: str(message[:20]),
)
@pytest.mark.parametrize("cluster_form", [False, True])
def test_what_is_not_known_is_ignored_and_counted(message: bytes, cluster_form: bool) -> None:
    before = ignored()
    assert answer_to(message, cluster_form=cluster_form) is None
    assert ignored() == before + 1


@pytest.mark.parametrize(
    "data", [b"\xff", b"\xc3", b"\xed\xa0\x80", b'{"type":"resume","x":"\xff"}']
)
@pytest.mark.parametrize("cluster_form", [False, True])
def test_a_text_that_is_not_utf8_fails(data: bytes, cluster_form: bool) -> None:
    with pytest.raises(NotTextError):
        answer_to(data, cluster_form=cluster_form)


class Returns:
    """Stands for a client whose messages are kept."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str | None]] = []

    def resume(self, token: str | None) -> None:
        self.said.append(("resume", token))

    def acknowledge(self, push_id: str) -> None:
        self.said.append(("ack", push_id))


def test_with_a_history_it_is_told_of_resumes_and_acknowledgements() -> None:
    returns = Returns()
    for message in (
        b'{"type":"resume","token":"t"}',
        b'{"type":"resume","token":null}',
        b'{"type":"resume"}',
        b'{"type":"resume","token":{"no":"token"}}',
        b'{"type":"ack","id":"i"}',
        b'{"type":"ack","id":7}',
        b'{"type":"ack"}',
    ):
        assert answer_to(message, cluster_form=True, history=returns) is None
    resumes = [("resume", token) for token in ("t", None, None, "")]
    assert returns.said == [*resumes, ("ack", "i")]
    # The default form knows neither.
    answer_to(b'{"type":"resume","token":"t"}', cluster_form=False, history=returns)
    assert len(returns.said) == 5
