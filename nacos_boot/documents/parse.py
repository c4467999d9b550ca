"""Read a document of settings by its kind, and tell what is wrong with it instead of guessing."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from nacos_boot.documents.error import MAX_DOCUMENT_BYTES, DocumentError
from nacos_boot.documents.json_text import read_json
from nacos_boot.documents.properties_text import read_properties
from nacos_boot.documents.yaml_text import read_yaml

DocumentKind = Literal["yml", "yaml", "properties", "json"]
"""The kinds of documents, by the ending of their names."""

_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
_LINE_END = re.compile("\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a text: keys nested, and the line of each key (dotted), section and item.

    `line` is where it begins, counted from 1.
    """

    tree: Mapping[str, Any]
    lines: Mapping[str, int]
    line: int


def kind_of(name: str, otherwise: DocumentKind = "yml") -> DocumentKind:
    """Tell the kind of a document by the ending of its name (of its data id)."""
    ending = name.rpartition(".")[2].lower()
    found: DocumentKind | None = next(
        (kind for kind in get_args(DocumentKind) if kind == ending), None
    )
    return found or otherwise


def parse(text: str, kind: DocumentKind = "yml") -> list[Document]:
    """Read a text into its documents: one, or several that `---` (`#---`) separates.

    Documents that say nothing are left out. Raises DocumentError.
    """
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_DOCUMENT_BYTES or len(text.encode(errors="replace")) > MAX_DOCUMENT_BYTES:
        raise DocumentError(f"larger than {MAX_DOCUMENT_BYTES} bytes")
    _check_characters(text, kind)
    found: Iterable[tuple[dict[str, Any], dict[str, int], int]]
    if kind == "json":
        found = [read_json(text)]
    else:
        found = read_properties(text) if kind == "properties" else read_yaml(text)
    return [Document(tree, lines, line) for tree, lines, line in found if tree]


def _check_characters(text: str, kind: DocumentKind) -> None:
    for match in _FORBIDDEN.finditer(text):
        if match[0] == "\f" and kind == "properties":
            continue
        line = len(_LINE_END.findall(text, 0, match.start())) + 1
        what = "a NUL character" if match[0] == "\0" else "a character that text cannot hold"
        raise DocumentError(f"{what} (U+{ord(match[0]):04X})", line=line)
