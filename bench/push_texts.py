"""The texts of pushes: what is asked of the API, and what must arrive for it. Pure."""

from collections.abc import Iterable, Sequence

_TEXT = "Your order has been packed and will leave today. "
"""What a message may say; 49 bytes that JSON leaves as they are."""


def content(number: int | str) -> str:
    """Write the content for the user of a number, as JSON; no two users get the same."""
    return f'{{"to":"u{number}","kind":"order","text":"{_TEXT}"}}'


EXPECTED = content("{n}")
"""What the user of each connection must receive, for `Load.expect`."""


def push(number: int) -> str:
    """Write the push to one user."""
    return f'{{"content":{content(number)},"targetUserList":["u{number}"]}}'


def stamped(number: int) -> str:
    """Write the push to one user with the time of sending in it, as `Load.http` puts it there."""
    return f'{{"content":{{"t":{{t}},"text":"{_TEXT}"}},"targetUserList":["u{number}"]}}'


def batches(numbers: Sequence[int], size: int) -> list[str]:
    """Write batch requests of `size` pushes, which together hold one push for each user.

    Each takes its users from the whole range, so that all nodes have some of them.
    """
    count = -(-len(numbers) // size)
    return [batch(numbers[begin::count]) for begin in range(count)]


def batch(numbers: Iterable[int]) -> str:
    """Write one batch request."""
    return f"[{','.join(map(push, numbers))}]"


def to_all(text: str) -> str:
    """Write a push of a string to everyone, who receives the string."""
    return f'{{"content":"{text}","allUser":true}}'
