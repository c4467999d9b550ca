import pytest

from nacos_boot.actuator.own_port import metadata_of


@pytest.mark.parametrize(
    ("address", "more"),
    [
        ("", {}),
        ("0.0.0.0", {}),
        ("::", {}),
        ("10.0.0.9", {"management.address": "10.0.0.9"}),
        ("ops.internal", {"management.address": "ops.internal"}),
    ],
)
def test_others_are_told_an_address_only_where_it_leads_somewhere(
    address: str, more: dict[str, str]
) -> None:
    assert metadata_of(9001, address) == {"management.port": "9001", **more}
