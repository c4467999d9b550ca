from dataclasses import replace
from typing import Any

import pytest

from nacos_boot.registry.instance import Instance
from nacos_boot.registry.own_instance import differences, find, own_metadata
from nacos_boot.start.nacos_settings import DiscoverySettings

OURS = Instance("demo", "10.0.0.1", 81, metadata={"version": "1", "id": "x"})


def metadata(program: dict[str, str], **settings: Any) -> dict[str, str]:
    return own_metadata(
        DiscoverySettings.model_validate(settings), program, version="1.2.3", md5="abc"
    )


def test_what_every_program_tells() -> None:
    assert metadata({}) == {
        "preserved.register.source": "SPRING_CLOUD",
        "management.context-path": "/actuator",
        "version": "1.2.3",
        "nacos.config.md5": "abc",
    }
    assert metadata({}, secure=True)["secure"] == "true"


def test_the_settings_count_more_than_the_program_except_for_the_md5() -> None:
    found = metadata(
        {"zone": "a", "id": "x"},
        metadata={"zone": "b", "version": "9", "nacos": {"config": {"md5": "forged"}}},
    )
    assert found["zone"] == "b"
    assert found["id"] == "x"
    assert found["version"] == "9"
    assert found["nacos.config.md5"] == "abc"


def test_names_with_dots_and_values_of_other_types() -> None:
    settings = {"zone": {"of": {"rack": 7}}, "green": True, "a.b": 1.5}
    found = metadata({}, metadata=settings)
    assert (found["zone.of.rack"], found["green"], found["a.b"]) == ("7", "true", "1.5")


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (OURS, {}),
        (replace(OURS, weight=1.005), {}),
        (replace(OURS, healthy=False), {}),
        (replace(OURS, weight=0.5), {"the weight": "0.5"}),
        (replace(OURS, metadata={"version": "1", "id": "y"}), {"id": "y"}),
        (replace(OURS, metadata={"version": "1"}), {"id": ""}),
        (
            replace(OURS, weight=0, metadata={**OURS.metadata, "note": "n"}),
            {"the weight": "0", "note": "n"},
        ),
    ],
)
def test_what_the_registry_says_otherwise(listed: Instance, expected: dict[str, str]) -> None:
    assert differences(OURS, listed) == expected


def test_an_instance_is_found_by_address_and_cluster() -> None:
    changed = replace(OURS, metadata={})
    others = (replace(OURS, port=82), replace(OURS, cluster="EAST"))
    assert find(OURS, (*others, changed)) == changed
    assert find(OURS, others) is None
    # A former connection of this port may be listed, too.
    assert find(OURS, (changed, OURS)) == find(OURS, (OURS, changed)) == OURS
