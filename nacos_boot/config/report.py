"""What health and the actuator say of live configuration.

Source: Spring Cloud Alibaba 2025.0, `NacosConfigEndpoint` and `NacosConfigHealthIndicator`.
"""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from nacos_boot.actuator.health import Health, Status
from nacos_boot.config.history import Edit
from nacos_boot.config.nacos_config import NacosConfig
from nacos_boot.config.pending import Pending
from nacos_boot.config.state import Fault
from nacos_boot.settings.changes import pinned
from nacos_boot.start.bootstrap import Bootstrap
from nacos_boot.start.nacos_settings import DocumentSettings

_SPRINGS_HISTORY = 20
_MILLISECOND = timedelta(milliseconds=1)


def config_health(config: NacosConfig[Any]) -> Health:
    """Tell what is wrong: a program goes on serving with its last settings, so it is never down."""
    state = config.state
    details: dict[str, Any] = {"md5": state.md5}
    found = {
        "error": state.error,
        "unreachable": state.unreachable,
        "snapshot_age": state.snapshot_age,
        "fault": state.fault.kind if state.fault else None,
    }
    details.update({name: value for name, value in found.items() if value is not None})
    if state.pending:
        details["pendingRestart"] = _pending(state.pending)
    unwell = state.faults or state.snapshot_age is not None
    return Health(Status.UNKNOWN if unwell else Status.UP, details)


def describe_config(config: NacosConfig[Any]) -> Mapping[str, Any]:
    """Give the body of `/actuator/nacosconfig`: times in Unix time, secrets masked.

    The names in capitals are those of Spring Cloud Alibaba.
    """
    state, bootstrap, md5s = config.state, config.bootstrap, config.document_md5s
    return {
        "md5": state.md5,
        "appliedAt": state.applied_at,
        "error": state.error,
        "unreachable": state.unreachable,
        "fault": _fault(state.fault) if state.fault else None,
        "documents": [
            {
                "dataId": item.data_id,
                "group": item.group,
                "refresh": item.refresh,
                # None where the document does not exist.
                "md5": md5s.get(item.key),
            }
            for item in bootstrap.documents
        ],
        "missing": [
            {"dataId": item.data_id, "group": item.group}
            for item in bootstrap.documents
            if item.key not in md5s
        ],
        "pendingRestart": _pending(state.pending),
        "withoutEffect": [
            {"key": key, "pinnedBy": source} for key, source in _pinned(config).items()
        ],
        "snapshot": {
            "enabled": bootstrap.nacos.config.snapshot,
            "startedFrom": state.snapshot_age is not None,
            "ageSeconds": _snapshot_age(config),
        },
        "history": [_edit(edit) for edit in config.history],
        "NacosConfigProperties": _properties(bootstrap),
        "RefreshHistory": list(_refresh_history(config))[:_SPRINGS_HISTORY],
        "Sources": [
            {"dataId": item.data_id, "lastSynced": _local(config.synced[item.key])}
            for item in bootstrap.documents
            if item.key in md5s
        ],
    }


def _pinned(config: NacosConfig[Any]) -> dict[str, str]:
    in_force = config.in_force
    documents = {source.name for source in in_force.documents.values()}
    return {**pinned(in_force.framework, documents), **pinned(in_force.bound, documents)}


def _snapshot_age(config: NacosConfig[Any]) -> float | None:
    if config.state.snapshot_age is not None:
        return config.state.snapshot_age
    saved = config.snapshot_saved_at
    return None if saved is None else max(time.time() - saved, 0.0)


def _fault(fault: Fault) -> dict[str, Any]:
    return {
        "kind": fault.kind,
        "message": fault.message,
        "since": fault.since,
        "problems": [
            {
                "dataId": problem.source,
                "line": problem.line,
                "key": problem.key,
                "value": problem.value,
                "expected": problem.expected,
            }
            for problem in fault.problems
        ],
    }


def _pending(found: tuple[Pending, ...]) -> dict[str, Any]:
    return {
        one.key: {"inUse": one.in_use, "waiting": one.waiting, "source": one.source}
        for one in found
    }


def _edit(edit: Edit) -> dict[str, Any]:
    return {
        "at": edit.at,
        "md5": edit.md5,
        "documents": [
            {"dataId": data_id, "group": group, "md5": md5 or None}
            for group, data_id, md5 in edit.documents
        ],
        "outcome": "applied" if edit.refused is None else "refused",
        "reason": edit.refused,
        "changes": [
            {"key": one.key, "old": one.old, "new": one.new, "source": one.source}
            for one in edit.changes
        ],
        "moreChanges": edit.more,
    }


def _properties(bootstrap: Bootstrap) -> dict[str, Any]:
    nacos, config = bootstrap.nacos.for_config(), bootstrap.nacos.config
    return {
        "serverAddr": ",".join(nacos.server_addr),
        "username": nacos.username,
        "namespace": nacos.namespace,
        "group": config.group,
        "prefix": config.prefix or config.name or bootstrap.application,
        "fileExtension": config.file_extension,
        "timeout": config.timeout // _MILLISECOND,
        "refreshEnabled": config.refresh_enabled,
        "sharedConfigs": [_entry(item) for item in config.shared_configs],
        "extensionConfigs": [_entry(item) for item in config.extension_configs],
    }


def _entry(item: DocumentSettings) -> dict[str, Any]:
    return {"dataId": item.data_id, "group": item.group, "refresh": item.refresh}


def _refresh_history(config: NacosConfig[Any]) -> Iterator[dict[str, Any]]:
    for edit in config.history:
        for group, data_id, md5 in edit.documents:
            yield {"timestamp": _local(edit.at), "dataId": data_id, "group": group, "md5": md5}


def _local(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
