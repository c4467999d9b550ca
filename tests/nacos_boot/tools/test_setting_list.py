from nacos_boot.tools.setting_list import REQUIRED, nearest_key, settings_of
from tests.nacos_boot.samples import DemoSettings
from tests.nacos_boot.shop import ShopSettings


def described() -> dict[str, tuple[object, str, str, str]]:
    return {
        one.key: (one.default, one.unit, one.allowed, str(one.effect))
        for one in settings_of(ShopSettings)
    }


def test_every_setting_is_listed_with_what_was_declared() -> None:
    found = described()
    assert found["shop.limits.warn-at"] == (50, "", "", "live")
    assert found["shop.mode"] == ("open", "", "one of open, closed", "live")
    assert found["spring.data.port"] == (6379, "", "1 to 65535", "live")
    assert found["server.port"][3] == "needs a restart"
    assert found["shop.pause"][3] == "live: next sale"
    assert found["shop.discount"] == (None, "%", "at least 0, below 100", "live")


def test_a_default_that_the_section_above_gives_counts() -> None:
    assert described()["shop.limits.max-items"] == (200, "items", "1 to 1000", "live")


def test_the_items_of_a_list_are_listed_after_it() -> None:
    keys = list(described())
    at = keys.index("shop.suppliers")
    assert keys[at + 1 : at + 3] == ["shop.suppliers[].name", "shop.suppliers[].retries"]
    assert described()["shop.suppliers[].name"][0] is REQUIRED


def test_fields_declared_without_setting_are_listed_too() -> None:
    assert "demo.limits.max-connections" in [one.key for one in settings_of(DemoSettings)]


def test_the_nearest_key_is_a_setting_that_looks_alike() -> None:
    assert nearest_key("spring.data.hots", [ShopSettings]) == "spring.data.host"
    assert nearest_key("shop.limits.max-itmes", [ShopSettings]) == "shop.limits.max-items"
    assert nearest_key("something.else", [ShopSettings]) is None
