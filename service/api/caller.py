"""Who calls the API."""

from quart import g


def caller_of() -> str:
    """Give the name of the API key of the request that is being served; empty without one."""
    return g.get("api_key_name") or ""
