import json

import pytest

from bench.push_texts import EXPECTED, batches, content, push, stamped, to_all
from service.push.batch import read_batch
from service.push.push import accept_push


def test_what_is_pushed_is_what_the_client_of_that_number_expects() -> None:
    accepted = accept_push(push(17).encode(), max_targets=1)
    assert accepted.targets == ("u17",)
    assert accepted.content.decode() == EXPECTED.replace("{n}", "17") == content(17)
    assert json.loads(accepted.content)["to"] == "u17"


@pytest.mark.parametrize("size", [500, 300, 1000])
def test_batches_hold_one_push_for_each_user_and_users_of_both_halves(size: int) -> None:
    bodies = batches(range(1000), size)
    items = [read_batch(body.encode(), max_items=size) for body in bodies]
    targets = [accept_push(item, max_targets=1).targets for batch in items for item in batch]
    assert sorted(str(target[0]) for target in targets if target) == sorted(
        f"u{number}" for number in range(1000)
    )
    for body in bodies:
        assert '"u0"' in body or any(f'"u{number}"' in body for number in range(500))
        assert any(f'"u{number}"' in body for number in range(500, 1000))


def test_a_stamped_push_has_a_place_for_the_time() -> None:
    text = stamped(3)
    assert text.count("{t}") == 1
    sent = accept_push(text.replace("{t}", "1" * 19).encode(), max_targets=1)
    assert json.loads(sent.content)["t"] == int("1" * 19)


def test_a_push_to_all_is_one() -> None:
    accepted = accept_push(to_all("good morning").encode(), max_targets=1)
    assert (accepted.targets, accepted.content) == (None, b'"good morning"')
