"""Read .properties text, with the line of every key.

Source: java.util.Properties.load(Reader); Spring Boot reference, "Working With Multi-Document
Files" (`#---`).
"""

import re
from collections.abc import Iterator
from typing import Any

from nacos_boot.documents.error import MAX_VALUES, DocumentError
from nacos_boot.documents.keys import Entry, grow, split_key

_LINE_END = re.compile(r"\r\n|\r|\n")
_BLANKS = " \t\f"
_COMMENT = ("#", "!")
_SEPARATORS = {"#---", "!---"}
_KEY_END = re.compile(r"(?<!\\)(?:\\\\)*([=: \t\f])")
_VALUE_START = re.compile(r"[ \t\f]*[=:]?[ \t\f]*")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_properties(text: str) -> Iterator[tuple[dict[str, Any], dict[str, int], int]]:
    """Give each document of the text: its tree, the lines of its keys, and its own first line.

    Every value is text. Raises DocumentError.
    """
    entries: list[Entry] = []
    first, count = 1, 0
    for number, line in _logical_lines(text):
        count += 1
        if count > MAX_VALUES:
            raise DocumentError(f"more than {MAX_VALUES} values", line=number)
        if line in _SEPARATORS:
            yield (*grow(entries), first)
            entries, first = [], number + 1
            continue
        key, value = _key_and_value(line, number)
        entries.append((split_key(key), value, number))
    yield (*grow(entries), first)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield what says something, each with the number of its first line: continued lines joined."""
    natural = _LINE_END.split(text)
    index = 0
    while index < len(natural):
        number = index + 1
        line = natural[index].lstrip(_BLANKS)
        index += 1
        if not line:
            continue
        if line.startswith(_COMMENT):
            if _separates(natural, number - 1):
                yield number, line.rstrip(_BLANKS)
            continue
        parts = [line]
        while _continues(parts[-1]) and index < len(natural):
            parts[-1] = parts[-1][:-1]
            parts.append(natural[index].lstrip(_BLANKS))
            index += 1
        if _continues(parts[-1]):
            parts[-1] = parts[-1][:-1]
        yield number, "".join(parts)


def _separates(lines: list[str], index: int) -> bool:
    # A line of dashes beside another comment is decoration, as it is to Spring.
    if lines[index].rstrip(_BLANKS) not in _SEPARATORS:
        return False
    beside = lines[max(index - 1, 0) : index] + lines[index + 1 : index + 2]
    return not any(line.startswith(lines[index][0]) for line in beside)


def _continues(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _key_and_value(line: str, number: int) -> tuple[str, str]:
    end = _KEY_END.search(line)
    written = line[: end.start(1)] if end else line
    start = _VALUE_START.match(line, len(written))
    value = line[start.end() :] if start else ""
    key = _unescaped(written, number)
    if not key:
        raise DocumentError("expected a key before the '=' or ':'", line=number)
    return key, _unescaped(value, number, key)


def _unescaped(text: str, line: int, key: str = "") -> str:
    if "\\" not in text:
        return text

    def replacement(match: re.Match[str]) -> str:
        escape = match[1]
        if escape == "u":
            raise DocumentError(
                "expected four hexadecimal digits after '\\u', as in '\\u00e9'", line=line, key=key
            )
        if escape[0] == "u":
            return chr(int(escape[1:], 16))
        return _ESCAPED.get(escape, escape)

    result = _ESCAPE.sub(replacement, text)
    if _SURROGATE.search(result):
        try:
            return result.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError as error:
            raise DocumentError(
                "half a character: '\\ud83d' and the like come in pairs", line=line, key=key
            ) from error
    return result
