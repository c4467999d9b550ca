from nacos_boot.settings.unread import unread_keys
from tests.nacos_boot.shop import ShopSettings


def test_keys_that_no_section_reads_are_listed() -> None:
    tree = {
        "shop": {"mode": "open", "labels": {"any": "thing"}},
        "spring": {"data": {"host": "a", "hots": "b"}, "dada": {"host": "c", "port": 1}},
        "sohp": {"mode": "closed"},
        "logging": {"level": {"root": "INFO"}},
        "alone": 1,
    }
    assert unread_keys(tree, ShopSettings) == [
        "spring.data.hots",
        "spring.dada.host",
        "spring.dada.port",
        "sohp.mode",
        "alone",
    ]


def test_other_spellings_are_read_and_refused_keys_are_not_listed() -> None:
    tree = {"Spring": {"DATA": {"Host": "a"}}, "shop": {"maxItems": 1, "colour": "red"}}
    assert unread_keys(tree, ShopSettings) == []
