"""The list of a service's instances, and which of them outlive an outage of Nacos. Pure: no I/O.

A restarted Nacos knows no ephemeral instance until each has registered again, so what it lists at
first is true of Nacos but not of the instances. While nothing was wrong with Nacos its list is
taken as it is, the empty one included: the removal of the last instance is a fact like any other.

Nacos lists an address as often as connections have registered it: besides the present registration,
that of a former process or connection, for as long as Nacos takes it to be alive. It says of none
which is newer, but what was not in the last list is.
"""

from collections.abc import Iterable

from nacos_boot.registry.instance import Instance

_Key = tuple[str, str]


class InstanceList:
    """The instances in use. Times are in seconds on one monotonic clock.

    From the first list after an outage on, instances that are missing from the list stay for `hold`
    seconds; new data of those that are listed counts at once.
    """

    def __init__(self, hold: float) -> None:
        self._hold = hold
        self._away = False
        self._until: float | None = None
        self._known: dict[_Key, Instance] = {}
        # What was listed for an address besides the one that is in use.
        self._passed_over: dict[_Key, list[Instance]] = {}
        self.given = False
        """Whether Nacos has given any list yet."""
        self.held: frozenset[str] = frozenset()
        """Addresses that are in use though Nacos does not list them."""

    @property
    def instances(self) -> tuple[Instance, ...]:
        """The instances in use, in the order of their addresses."""
        return tuple(self._known.values())

    @property
    def hold_ends(self) -> float | None:
        """When the hold ends; None where there is none. Then a fresh list is to be taken."""
        return self._until

    def lost(self) -> None:
        """Note that Nacos cannot be asked, or that the connection to it was another one."""
        self._away = True
        self._until = None

    def take(self, found: Iterable[Instance], now: float) -> bool:
        """Take over a list of Nacos; tell whether anything changed, or it was the first."""
        listed = self._one_each(found)
        if self._away:
            # Nothing is kept for a program that knew nothing.
            self._until = now + self._hold if self._known and self._hold else None
            self._away = False
        elif self._until is not None and now >= self._until:
            self._until = None
        missing = set(self._known) - set(listed) if self._until is not None else set()
        kept = {key: self._known[key] for key in missing}
        self.held = frozenset(instance.address for instance in kept.values())
        after = dict(sorted({**kept, **listed}.items(), key=lambda item: _place(item[1])))
        changed = not self.given or after != self._known
        self._known, self.given = after, True
        return changed

    def _one_each(self, found: Iterable[Instance]) -> dict[_Key, Instance]:
        several: dict[_Key, list[Instance]] = {}
        for instance in found:
            several.setdefault(_key(instance), []).append(instance)
        chosen = {key: self._newest(key, some) for key, some in several.items()}
        self._passed_over = {
            key: [other for other in some if other != chosen[key]]
            for key, some in several.items()
            if len(some) > 1
        }
        return chosen

    def _newest(self, key: _Key, some: list[Instance]) -> Instance:
        known = self._known.get(key)
        new = [one for one in some if one != known and one not in self._passed_over.get(key, ())]
        if new:
            return new[-1]
        return known if known is not None and known in some else some[-1]


def _key(instance: Instance) -> _Key:
    return instance.cluster, instance.address


def _place(instance: Instance) -> tuple[str, int, str]:
    return instance.ip, instance.port, instance.cluster
