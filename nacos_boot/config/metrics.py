"""Metrics of live configuration."""

from collections.abc import Collection

from prometheus_client import Counter, Gauge

from nacos_boot.config.state import ConfigState, FaultKind

APPLIED = Counter("nacos_config_applied", "Changes of the documents that were applied")
REFUSED = Counter("nacos_config_refused", "Changes of the documents that were refused", ["kind"])
FOUND_BY_WATCHDOG = Counter(
    "nacos_config_found_by_watchdog", "Changes that no push told of, found by reading again"
)
_FAULT = Gauge("nacos_config_fault", "Whether there is a fault of this kind", ["kind"])
_PENDING = Gauge("nacos_config_pending_restart", "Changed settings that wait for a restart")
_APPLIED_AT = Gauge(
    "nacos_config_applied_timestamp_seconds", "When the settings in force were applied"
)
_SNAPSHOT_AGE = Gauge(
    "nacos_config_snapshot_age_seconds",
    "Age at the start of the snapshot in force, 0 where the settings are those of Nacos",
)

for _kind in FaultKind:
    _FAULT.labels(_kind)
for _kind in (FaultKind.EMPTY, FaultKind.DELETED, FaultKind.MISSING, FaultKind.INVALID):
    REFUSED.labels(_kind)


def show(state: ConfigState) -> None:
    """Have the gauges show a state."""
    kinds: Collection[FaultKind] = {fault.kind for fault in state.faults}
    for kind in FaultKind:
        _FAULT.labels(kind).set(kind in kinds)
    _PENDING.set(len(state.pending))
    _APPLIED_AT.set(state.applied_at)
    _SNAPSHOT_AGE.set(state.snapshot_age or 0)
