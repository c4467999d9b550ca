import pytest

from nacos_boot.start.imports import Import, ImportFault, read_import


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("nacos:a.yml", Import("nacos:a.yml", optional=False, data_id="a.yml")),
        ("nacos:/a.yml", Import("nacos:/a.yml", optional=False, data_id="a.yml")),
        ("optional:nacos:a", Import("optional:nacos:a", optional=True, data_id="a")),
        (
            "nacos:a.yml?group=G&refreshEnabled=false&preference=local",
            Import(
                "nacos:a.yml?group=G&refreshEnabled=false&preference=local",
                optional=False,
                data_id="a.yml",
                group="G",
                refresh=False,
                preference="local",
            ),
        ),
        (
            "nacos:a%20b?group=A%26B",
            Import("nacos:a%20b?group=A%26B", optional=False, data_id="a b", group="A&B"),
        ),
        ("optional:file:./x.yml", Import("optional:file:./x.yml", optional=True)),
        ("optional:configtree:/etc/x/", Import("optional:configtree:/etc/x/", optional=True)),
    ],
)
def test_what_is_imported(location: str, expected: Import) -> None:
    assert read_import(location) == expected


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("file:./x.yml", "'file:./x.yml' cannot be imported: expected nacos:<data-id>"),
        ("classpath:x.yml", "('optional:classpath:x.yml')"),
        ("x.yml", "cannot be imported"),
        ("nacos:", "names no document"),
        ("optional:nacos:?group=G", "names no document"),
        ("nacos:a?groupe=G", "'groupe' of 'nacos:a?groupe=G' is not understood"),
        ("nacos:a?group=", "'group' of"),
        ("nacos:a?group=A&group=B", "each once"),
        ("nacos:a?refreshEnabled=yes", "expected true or false"),
        ("nacos:a?preference=mine", "expected remote or local"),
    ],
)
def test_what_cannot_be_imported(location: str, words: str) -> None:
    with pytest.raises(ImportFault) as caught:
        read_import(location)
    assert words in str(caught.value)
