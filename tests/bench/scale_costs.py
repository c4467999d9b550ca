"""Costs by hand: all are nothing but those that a test names."""

from bench.scale.costs import NAMES, Cost, Costs


def only(**given: float) -> Costs:
    """Give costs in µs or bytes; `node_publish=10` is `node.publish`."""
    values = {name.replace("_", ".", 1): value for name, value in given.items()}
    assert set(values) <= set(NAMES)
    return Costs({}, {name: Cost(values.get(name, 0.0), "µs", "by hand") for name in NAMES})
