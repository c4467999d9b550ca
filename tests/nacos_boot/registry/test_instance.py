import pytest

from nacos_boot.registry.instance import Instance


@pytest.mark.parametrize(
    ("healthy", "enabled", "weight", "available"),
    [
        (True, True, 1.0, True),
        (True, True, 0.01, True),
        (False, True, 1.0, False),
        (True, False, 1.0, False),
        (True, True, 0.0, False),
    ],
)
def test_who_gets_traffic(healthy: bool, enabled: bool, weight: float, available: bool) -> None:
    instance = Instance("demo", "10.0.0.1", 81, weight, healthy, enabled)
    assert instance.available is available
    assert instance.address == "10.0.0.1:81"


def test_instances_that_differ_in_metadata_are_not_equal() -> None:
    one = Instance("demo", "10.0.0.1", 81, metadata={"a": "1"})
    assert one != Instance("demo", "10.0.0.1", 81, metadata={"a": "2"})
    assert one == Instance("demo", "10.0.0.1", 81, metadata={"a": "1"})
    assert len({one, Instance("demo", "10.0.0.1", 81, metadata={"a": "1"})}) == 1
