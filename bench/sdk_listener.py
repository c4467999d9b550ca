"""The peer of `reload`: a program that does nothing but listen with the Nacos SDK.

It listens as the SDK's documentation shows, and writes a line of JSON to standard output when it
has settled and for each call of its listener. Where it finds Nacos is in NACOS_SERVER_ADDR,
NACOS_USERNAME and NACOS_PASSWORD; the data ids are its arguments.
"""

import asyncio
import hashlib
import json
import logging
import os
import sys
import tempfile
import time
from typing import Any

from v2.nacos import ClientConfigBuilder, NacosConfigService

SETTLED_AFTER = 6.0
"""Seconds; the SDK listens at the server 5 s after its start at the latest."""


def tell(**facts: Any) -> None:
    """Write one line at once."""
    print(json.dumps(facts), flush=True)


async def listener(_tenant: str, _group: str, data_id: str, content: str) -> None:
    """Tell when which content came."""
    now = time.time()
    md5 = hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
    tell(dataId=data_id, md5=md5, at=now)


async def listen(data_ids: list[str], folder: str) -> None:
    """Listen until the process is ended."""
    config = (
        ClientConfigBuilder()
        .server_address(f"http://{os.environ['NACOS_SERVER_ADDR']}")
        .username(os.environ["NACOS_USERNAME"])
        .password(os.environ["NACOS_PASSWORD"])
        .log_level(logging.CRITICAL)
        .log_dir(folder)
        .cache_dir(folder)
        .build()
    )
    service = await NacosConfigService.create_config_service(config)
    for data_id in data_ids:
        await service.add_listener(data_id, "DEFAULT_GROUP", listener)
    await asyncio.sleep(SETTLED_AFTER)
    tell(settled=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(listen(sys.argv[1:], temporary))
