"""Who is a caller of the API, and what those hear who push too fast."""

from typing import Any

import pytest
from quart import Quart, Response, g

from nacos_boot.config.live import LiveSettings
from service import metrics
from service.api.push_pace import PushPace
from service.settings import NodeSettings


class Api:
    """An app with one route, whose request is of so many pushes."""

    def __init__(self) -> None:
        self.live = LiveSettings(NodeSettings())
        self.now = 100.0
        self.pace = PushPace(self.live, lambda: self.now)
        self.app = Quart("test")

        @self.app.get("/<int:pushes>/<address>/<key>")
        async def push(pushes: int, address: str, key: str) -> Response:
            g.caller_address = address
            g.api_key_name = None if key == "-" else key
            if (refusal := self.pace.refusal()) is not None:
                return refusal
            self.pace.charge(pushes)
            return Response(b"")

    def limit(self, **limits: int) -> None:
        spelled = {name.replace("_", "-"): value for name, value in limits.items()}
        self.live.swap(NodeSettings.model_validate({"websocket": {"limits": spelled}}))

    async def push(self, pushes: int = 1, address: str = "10.0.0.1", key: str = "-") -> Any:
        return await self.app.test_client().get(f"/{pushes}/{address}/{key}")

    async def statuses(self, number: int, **who: Any) -> list[int]:
        return [(await self.push(**who)).status_code for _ in range(number)]


@pytest.fixture
def api() -> Api:
    return Api()


def limited() -> float:
    return float(metrics.LIMITED.labels("pushes-per-second")._value.get())


async def test_a_caller_without_a_key_is_an_address(api: Api) -> None:
    api.limit(pushes_per_second=2, push_burst=3)
    before = limited()
    assert await api.statuses(5) == [200] * 3 + [429] * 2
    assert await api.statuses(3, address="10.0.0.2") == [200] * 3
    assert limited() == before + 2
    api.now += 0.51
    assert await api.statuses(2) == [200, 429]


async def test_a_caller_with_a_key_is_the_key_wherever_it_calls_from(api: Api) -> None:
    api.limit(pushes_per_second=1, push_burst=2)
    callers = [await api.push(address=f"10.0.0.{number}", key="shop") for number in range(3)]
    assert [answer.status_code for answer in callers] == [200, 200, 429]
    assert await api.statuses(1, key="other") == [200]
    # A key has not the name of an address.
    assert await api.statuses(2, address="shop") == [200] * 2


async def test_the_answer_says_when_to_come_back_and_why(api: Api) -> None:
    api.limit(pushes_per_second=10, push_burst=5)
    assert (await api.push(pushes=100)).status_code == 200
    answer = await api.push()
    assert answer.status_code == 429
    # 95 of the batch and one more, at 10 a second.
    assert answer.headers["Retry-After"] == "10"
    problem = await answer.get_json(force=True)
    assert problem["title"] == "Too Many Requests"
    assert "websocket.limits.pushes-per-second" in problem["detail"]
    api.now += 10
    assert (await api.push()).status_code == 200


async def test_without_a_limit_nobody_is_counted(api: Api) -> None:
    assert await api.statuses(20, pushes=1000) == [200] * 20
    assert len(api.pace._buckets) == 0
