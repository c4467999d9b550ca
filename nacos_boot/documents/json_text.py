"""Read JSON text, with the line of every key, and within limits.

Source: RFC 8259; Spring Boot reference, "JSON Application Properties" (null).
"""

import re
from bisect import bisect_right
from json.decoder import JSONDecodeError, JSONDecoder
from typing import Any

from nacos_boot.documents.error import MAX_DEPTH, MAX_NUMBER, MAX_VALUES, DocumentError
from nacos_boot.documents.keys import Entry, KeyPath, descended, extended, grow

_BLANK = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?P<real>(?:\.\d+)?(?:[eE][+-]?\d+)?)", re.ASCII)
_STRINGS = JSONDecoder(strict=True)
_WORDS = {"true": True, "false": False, "null": None}
_WORD = re.compile(r"[A-Za-z]+")


def read_json(text: str) -> tuple[dict[str, Any], dict[str, int], int]:
    """Give the tree of a JSON object, the lines of its keys, and its own first line.

    A dotted key means the same as the nested form; a key whose value is null is absent. Raises
    DocumentError, for a key that is given twice, too.
    """
    return _Reading(text).document()


class _Reading:
    """Walks one text; `_position` is the next character."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._entries: list[Entry] = []
        self._lines: dict[str, int] = {}
        self._values = 0

    def document(self) -> tuple[dict[str, Any], dict[str, int], int]:
        if not self._next():
            return {}, {}, 1
        first = self._line()
        if self._next() != "{":
            raise DocumentError("expected an object, '{', at the top", line=first)
        self._walk((), "", first, 0)
        if self._next():
            raise DocumentError("expected nothing after the object", line=self._line())
        return (*grow(self._entries, self._lines), first)

    def _walk(self, path: KeyPath, key: str, line: int, depth: int) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            raise DocumentError(f"more than {MAX_VALUES} values", line=self._line())
        if depth > MAX_DEPTH:
            raise DocumentError(f"nested more than {MAX_DEPTH} levels deep", line=self._line())
        if path:
            self._lines.setdefault(key, line)
        character = self._next()
        if character == "{":
            self._object(path, key, line, depth)
        elif character == "[":
            self._array(path, key, line, depth)
        else:
            value = self._scalar(key)
            # Spring takes null for no value at all, so what is below stays; a list keeps its items.
            if value is not None or any(isinstance(step, int) for step in path):
                self._entries.append((path, value, line))

    def _object(self, path: KeyPath, key: str, line: int, depth: int) -> None:
        self._position += 1
        names: dict[str, int] = {}
        if self._next() == "}":
            self._position += 1
            if path:
                self._entries.append((path, {}, line))
            return
        while True:
            if self._next() != '"':
                raise DocumentError(
                    'expected a key in double quotes, such as "a"', line=self._line()
                )
            at = self._line()
            name = self._string()
            if name in names:
                raise DocumentError(
                    f"the key '{name[:100]}' stands twice (first in line {names[name]})",
                    line=at,
                    key=extended(key, name[:100]),
                )
            names[name] = at
            self._expect(":", f"after the key '{name[:100]}'")
            below, below_key = descended(path, key, name, at)
            self._walk(below, below_key, at, depth + 1)
            if self._comma_or("}"):
                return

    def _array(self, path: KeyPath, key: str, line: int, depth: int) -> None:
        self._position += 1
        if self._next() == "]":
            self._position += 1
            self._entries.append((path, [], line))
            return
        index = 0
        while True:
            self._next()
            self._walk((*path, index), extended(key, index), self._line(), depth + 1)
            index += 1
            if self._comma_or("]"):
                return

    def _scalar(self, key: str) -> Any:
        if self._next() == '"':
            return self._string()
        if number := _NUMBER.match(self._text, self._position):
            if len(number[0]) > MAX_NUMBER:
                raise DocumentError(
                    f"the value of '{key}' is a number of more than {MAX_NUMBER} characters",
                    line=self._line(),
                    key=key,
                )
            value = float(number[0]) if number["real"] else int(number[0])
            self._position = number.end()
            return value
        word = _WORD.match(self._text, self._position)
        if word is None or word[0] not in _WORDS:
            raise DocumentError(
                "expected a value: text in double quotes, a number, true, false, null, '{' or '['",
                line=self._line(),
                key=key,
            )
        self._position = word.end()
        return _WORDS[word[0]]

    def _string(self) -> str:
        line = self._line()
        try:
            value, self._position = _STRINGS.raw_decode(self._text, self._position)
        except JSONDecodeError as error:
            raise DocumentError(f"not valid JSON: {error.msg}", line=line) from error
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise DocumentError(
                "half a character: '\\ud83d' and the like come in pairs", line=line
            ) from error
        return str(value)

    def _comma_or(self, end: str) -> bool:
        found = self._next()
        if found not in {",", end} or not found:
            raise DocumentError(f"expected ',' or '{end}'", line=self._line())
        self._position += 1
        return found == end

    def _expect(self, character: str, where: str) -> None:
        if self._next() != character:
            raise DocumentError(f"expected '{character}' {where}", line=self._line())
        self._position += 1

    def _next(self) -> str:
        blank = _BLANK.match(self._text, self._position)
        self._position = blank.end() if blank else self._position
        return self._text[self._position : self._position + 1]

    def _line(self) -> int:
        return bisect_right(self._line_starts, self._position)
