"""One Pusher, push by push: checks what `merging` says by a formula.

Requests come at random moments; each brings a batch, and each push is for a random node.
"""

import random
from collections import Counter, deque

from bench.scale.merging import Cycle, Homes, PusherCosts
from service.broker.publication import MAX_PARTS
from service.push.pusher import MAX_MERGED, MAX_UNDER_WAY


def simulate(
    homes: Homes,
    rate: float,
    batch: int,
    costs: PusherCosts,
    *,
    pushes: int = 40_000,
    seed: int = 1,
) -> Cycle:
    """Run a Pusher until `pushes` are sent; gives the mean cycle.

    Where the Pusher cannot keep up, what waits grows without end; it goes on all the same.
    """
    dice = random.Random(seed)
    requests = rate / batch
    next_request = dice.expovariate(requests)
    waiting: deque[int] = deque()
    landing: deque[float] = deque()
    now = spent = 0.0
    sent = messages = cycles = 0
    while sent < pushes:
        if not waiting:
            now = max(now, next_request)
        began = now
        while landing and landing[0] <= now:
            landing.popleft()
        if len(landing) >= MAX_UNDER_WAY:
            now = landing.popleft()
        while next_request <= now:
            waiting.extend(int(dice.random() * homes.nodes) for _ in range(batch))
            next_request += dice.expovariate(requests)
        taken = [waiting.popleft() for _ in range(min(len(waiting), MAX_MERGED))]
        made = _messages(taken, homes)
        now += costs.takes(len(taken), made)
        landing.append(now + costs.confirm)
        spent += now - began
        sent += len(taken)
        messages += made
        cycles += 1
    return Cycle(sent / cycles, messages / cycles, spent / cycles)


def _messages(targets: list[int], homes: Homes) -> int:
    counts = Counter(targets)
    if homes.own:
        del counts[0]
    return sum(-(-count // MAX_PARTS) for count in counts.values())
