"""What a person does at the Nacos console, through the HTTP API that the console uses.

Not the SDK of the programs under test, so that one fault cannot hide another.
"""

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any


class NacosAdmin:
    """Publish, read and delete documents; list instances."""

    def __init__(self, url: str, namespace: str = "public") -> None:
        self._url = url
        self._namespace = namespace
        self._token = ""

    def publish(self, data_id: str, content: str) -> None:
        form = {"dataId": data_id, "content": content, "type": "yaml", **self._where()}
        assert self._call("POST", "/v3/admin/cs/config", form)["data"] is True

    def delete(self, data_id: str) -> None:
        self._call("DELETE", "/v3/admin/cs/config", {"dataId": data_id, **self._where()})

    def instances(self, service: str) -> list[dict[str, Any]]:
        query = {
            "serviceName": service,
            "groupName": "DEFAULT_GROUP",
            "namespaceId": self._namespace,
        }
        found = self._call("GET", "/v3/admin/ns/instance/list", query)["data"]
        return list(found)

    def _where(self) -> dict[str, str]:
        return {"groupName": "DEFAULT_GROUP", "namespaceId": self._namespace}

    def _call(self, method: str, path: str, form: dict[str, str]) -> dict[str, Any]:
        try:
            return self._send(method, path, form)
        except urllib.error.HTTPError as error:
            if error.code not in {401, 403}:
                raise
        login = self._send(
            "POST", "/v3/auth/user/login", {"username": "nacos", "password": "nacos"}
        )
        self._token = str(login["accessToken"])
        return self._send(method, path, form)

    def _send(self, method: str, path: str, form: dict[str, str]) -> dict[str, Any]:
        encoded = urllib.parse.urlencode(form)
        url = f"{self._url}{path}"
        body = encoded.encode() if method == "POST" else None
        request = urllib.request.Request(  # noqa: S310 - an address on loopback
            url if body else f"{url}?{encoded}",
            data=body,
            method=method,
            headers={"accessToken": self._token} if self._token else {},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            return dict(json.loads(answer.read()))
