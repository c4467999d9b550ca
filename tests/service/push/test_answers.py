"""The results of pushes, for those who wait for them."""

import asyncio
import gc
import logging

import pytest

from service.push.answers import Accepted, ManyAnswers, OneAnswer, PushesFailedError


def accepted(number: int) -> Accepted:
    return Accepted(f"p{number}", "routed", 1, ())


FAILED = PushesFailedError("no confirm")


async def test_one_answer_is_a_result_or_raises() -> None:
    one = OneAnswer()
    one.take(0, accepted(1))
    assert await one.future == accepted(1)
    one = OneAnswer()
    one.take(0, FAILED)
    with pytest.raises(PushesFailedError, match="no confirm"):
        await one.future


async def test_nobody_asking_for_a_failure_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    one = OneAnswer()
    one.take(0, FAILED)
    del one
    gc.collect()
    await asyncio.sleep(0)
    assert caplog.records == []


async def test_who_has_given_up_is_told_nothing() -> None:
    one, many = OneAnswer(), ManyAnswers(1)
    one.future.cancel()
    many.future.cancel()
    one.take(0, accepted(1))
    many.take(0, accepted(1))
    assert one.future.cancelled()
    assert many.future.cancelled()


async def test_many_answers_are_given_with_the_last_in_their_order() -> None:
    many = ManyAnswers(3)
    many.take(2, accepted(2))
    many.take(0, accepted(0))
    assert not many.future.done()
    many.take(1, FAILED)
    assert await many.future == [accepted(0), FAILED, accepted(2)]
    assert await ManyAnswers(0).future == []
