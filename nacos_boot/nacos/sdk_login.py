"""The SDK's login, done here.

Its own writes the password into the address, and servers write addresses into their logs.
"""

import asyncio
from typing import Any

from nacos_boot.nacos.login import LIFE, Token, check_login
from nacos_boot.start.nacos_settings import NacosSettings

_SHARE_OF_LIFE = 0.9  # after which a token is replaced, as Java's client does


class SdkLogin:
    """Stands in for the SDK's own `AuthClient`, with one token for all its services."""

    def __init__(self, settings: NacosSettings) -> None:
        self._settings = settings
        self._one_at_a_time = asyncio.Lock()
        self.access_token = ""
        self.token_expired_time = 0.0
        """Loop time."""

    def use_for(self, *services: Any) -> None:
        """Have the SDK's services log in so; they themselves never learn the password."""
        if not self._settings.username:
            return
        for service in services:
            connector = service.grpc_client_proxy.nacos_server_connector
            connector.auth_client = self
            # Without any it would ask for no token.
            config = connector.client_config
            config.username = config.password = self._settings.username

    async def get_access_token(self, force_refresh: bool = False) -> str:
        """Give a token, empty where the server wants none; a new one at least with `force_refresh`.

        Raises StartError.
        """
        now = asyncio.get_running_loop().time
        async with self._one_at_a_time:
            if force_refresh or now() >= self.token_expired_time:
                self.begin_with(await check_login(self._settings))
            return self.access_token

    def begin_with(self, token: Token | None) -> None:
        """Use a token that has just been given, None where the server wants none.

        A login takes a server a tenth of a second, by the cost of checking a password.
        """
        self.access_token = token.text if token else ""
        life = token.life if token else LIFE
        self.token_expired_time = asyncio.get_running_loop().time() + _SHARE_OF_LIFE * life
