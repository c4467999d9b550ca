"""What a person does at the Nacos console, through the HTTP API that the console uses.

Not the SDK of the programs under test, so that one fault cannot hide another.
"""

import json
import urllib.error
import urllib.parse
import urllib.request
from http import HTTPStatus
from typing import Any

from devtools.ports import LOOPBACK
from nacos_boot.registry.instance import Instance


class NacosAdmin:
    """Publish, read and delete documents; list instances."""

    def __init__(self, url: str, namespace: str = "public") -> None:
        self._url = url
        self._namespace = namespace
        self._token = ""

    def publish(self, data_id: str, content: str) -> None:
        form = {"dataId": data_id, "content": content, "type": "yaml", **self._where()}
        assert self._call("POST", "/v3/admin/cs/config", form)["data"] is True

    def document(self, data_id: str) -> dict[str, Any] | None:
        """Give a document as the console shows it, with its content and type; None if absent."""
        try:
            found = self._call("GET", "/v3/admin/cs/config", {"dataId": data_id, **self._where()})
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
            return None
        return dict(found["data"]) if found["data"] else None

    def delete(self, data_id: str) -> None:
        self._call("DELETE", "/v3/admin/cs/config", {"dataId": data_id, **self._where()})

    def publish_gray(self, data_id: str, content: str, *ips: str) -> None:
        """Publish for some clients only, as the console's "Beta" does."""
        form = {"dataId": data_id, "content": content, "type": "yaml", **self._where()}
        answer = self._call("POST", "/v3/admin/cs/config", form, betaIps=",".join(ips))
        assert answer["data"] is True

    def stop_gray(self, data_id: str) -> None:
        query = {"dataId": data_id, **self._where()}
        assert self._call("DELETE", "/v3/admin/cs/config/beta", query)["data"] is True

    def add_namespace(self, namespace: str) -> None:
        """Create a namespace whose id is its name."""
        form = {"customNamespaceId": namespace, "namespaceId": namespace}
        self._call("POST", "/v3/admin/core/namespace", {**form, "namespaceName": namespace})

    def add_reader(self, name: str, password: str) -> None:
        """Create a user who may read everything, and nothing else."""
        self._call("POST", "/v3/auth/user", {"username": name, "password": password})
        self._call("POST", "/v3/auth/role", {"role": f"{name}-role", "username": name})
        self.permit(name)

    def permit(self, name: str) -> None:
        self._call("POST", "/v3/auth/permission", self._permission(name))

    def forbid(self, name: str) -> None:
        self._call("DELETE", "/v3/auth/permission", self._permission(name))

    def change_password(self, name: str, password: str) -> None:
        """Nacos lets only the user do that, so the account is made anew; its roles stay."""
        self._call("DELETE", "/v3/auth/user", {"username": name})
        self._call("POST", "/v3/auth/user", {"username": name, "password": password})

    def remove_reader(self, name: str) -> None:
        self.forbid(name)
        self._call("DELETE", "/v3/auth/role", {"role": f"{name}-role", "username": name})
        self._call("DELETE", "/v3/auth/user", {"username": name})

    def _permission(self, name: str) -> dict[str, str]:
        return {"role": f"{name}-role", "resource": f"{self._namespace}:*:*", "action": "r"}

    def instances(self, service: str) -> list[dict[str, Any]]:
        query = {
            "serviceName": service,
            "groupName": "DEFAULT_GROUP",
            "namespaceId": self._namespace,
        }
        try:
            found = self._call("GET", "/v3/admin/ns/instance/list", query)["data"]
        except urllib.error.HTTPError as error:
            # A service is there a moment after its first instance.
            if error.code != HTTPStatus.NOT_FOUND:
                raise
            return []
        return list(found)

    def edit_instance(self, instance: Instance) -> None:
        """Edit an instance, as its form in the console does: weight, enabled and metadata."""
        form = {
            "serviceName": instance.service,
            "ip": instance.ip,
            "port": str(instance.port),
            "clusterName": instance.cluster,
            "ephemeral": str(instance.ephemeral).lower(),
            "weight": str(instance.weight),
            "enabled": str(instance.enabled).lower(),
            "metadata": json.dumps(dict(instance.metadata)),
            **self._where(),
        }
        self._call("PUT", "/v3/admin/ns/instance", form)

    def add_user(self, name: str, password: str) -> None:
        """Create an account that may do nothing yet."""
        self._call("POST", "/v3/auth/user", {"username": name, "password": password})

    def set_password(self, name: str, password: str) -> None:
        self._call("PUT", "/v3/auth/user", {"username": name, "newPassword": password})

    def register(self, service: str, port: int) -> None:
        """Register an instance on loopback, which Nacos forgets after half a minute."""
        self._call("POST", "/v3/admin/ns/instance", self._instance(service, port))

    def deregister(self, service: str, port: int) -> None:
        self._call("DELETE", "/v3/admin/ns/instance", self._instance(service, port))

    def _instance(self, service: str, port: int) -> dict[str, str]:
        address = {"ip": LOOPBACK, "port": str(port), "ephemeral": "true"}
        return {"serviceName": service, **address, **self._where()}

    def _where(self) -> dict[str, str]:
        return {"groupName": "DEFAULT_GROUP", "namespaceId": self._namespace}

    def _call(self, method: str, path: str, form: dict[str, str], **headers: str) -> dict[str, Any]:
        try:
            return self._send(method, path, form, headers)
        except urllib.error.HTTPError as error:
            if error.code not in {401, 403}:
                raise
        login = self._send(
            "POST", "/v3/auth/user/login", {"username": "nacos", "password": "nacos"}
        )
        self._token = str(login["accessToken"])
        return self._send(method, path, form, headers)

    def _send(
        self, method: str, path: str, form: dict[str, str], headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        encoded = urllib.parse.urlencode(form)
        url = f"{self._url}{path}"
        body = encoded.encode() if method in {"POST", "PUT"} else None
        request = urllib.request.Request(  # noqa: S310 - an address on loopback
            url if body else f"{url}?{encoded}",
            data=body,
            method=method,
            headers={**(headers or {}), **({"accessToken": self._token} if self._token else {})},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            return dict(json.loads(answer.read()))
