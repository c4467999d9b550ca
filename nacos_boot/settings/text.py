"""Write a number or a truth as text, as Java does where Spring needs a text.

Source: Java SE 17, Double.toString; Spring Framework, ObjectToStringConverter.
"""

import math
from decimal import Decimal
from typing import Any

_PLAIN_FROM, _PLAIN_BELOW = 1e-3, 1e7


def text_of(value: Any) -> str:
    """Give the text of a value from a document: `true`, `8`, `0.5`, `1.0E10`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _of_float(value) if isinstance(value, float) else str(value)


def _of_float(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or _PLAIN_FROM <= abs(value) < _PLAIN_BELOW:
        return repr(value)
    number = Decimal(repr(value))
    sign = "-" if number.is_signed() else ""
    digits = "".join(map(str, number.as_tuple().digits)).rstrip("0")
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{number.adjusted()}"
