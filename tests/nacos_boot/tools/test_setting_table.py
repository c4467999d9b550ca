from nacos_boot.tools.setting_table import table_of_settings
from tests.nacos_boot.shop import ShopSettings


def test_a_row_tells_key_default_meaning_and_what_a_change_does() -> None:
    rows = table_of_settings(ShopSettings).splitlines()
    assert rows[0] == "| key | default | meaning | a change |"
    assert (
        "| `shop.limits.max-items` | `200` items | Items of one cart. 1 to 1000. | is live |"
        in rows
    )
    assert "| `shop.password` | `guest` | Of the till. | needs a restart |" in rows
    assert "| `shop.pause` | `0s` | Between two sales. | is live: next sale |" in rows
    assert "| `shop.suppliers[].name` | required | Its name. | is live |" in rows
    assert "| `shop.url` |  | Its address. | is live |" in rows


def test_a_bar_in_a_text_does_not_end_its_cell() -> None:
    (row,) = [row for row in table_of_settings(ShopSettings).splitlines() if "shop.mode" in row]
    assert "sells \\| or not" in row


def test_sections_can_be_left_out() -> None:
    table = table_of_settings(ShopSettings, without=["shop", "logging"])
    assert "shop." not in table
    assert "logging" not in table
    assert "`spring.data.host`" in table
