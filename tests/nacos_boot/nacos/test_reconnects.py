import pytest

from nacos_boot.nacos.reconnects import Reconnects


async def test_a_connection_that_was_lost_and_is_back_is_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[str] = []

    def broken() -> None:
        raise RuntimeError("broken component")

    async def redo() -> None:
        told.append("redo")

    reconnects = Reconnects()
    reconnects.add(broken)
    reconnects.add(lambda: told.append("back"))
    await reconnects.on_connected()  # the first one replaces none
    assert told == []
    await reconnects.on_disconnect()
    await reconnects.on_connected()
    assert told == ["back"]
    assert "broken component" in caplog.text
    reconnects.redo = redo
    await reconnects.on_connected()
    assert told == ["back"]
    await reconnects.on_disconnect()
    await reconnects.on_disconnect()
    await reconnects.on_connected()
    assert told == ["back", "back", "redo"]
