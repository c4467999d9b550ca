"""Publish a folder of documents to Nacos, where a data id is absent."""

import logging
from pathlib import Path

from nacos_boot.bootstrap import NacosSettings
from nacos_boot.documents import DocumentError, parse_yaml
from nacos_boot.nacos_client import NacosClient
from nacos_boot.nacos_error import NacosError
from nacos_boot.startup import StartError, retried

log = logging.getLogger(__name__)


async def publish_folder(folder: Path, settings: NacosSettings) -> None:
    """Publish each file of a folder as the data id that its name is, in the config group.

    What stands in Nacos is never overwritten: people edit it there. Raises StartError.
    """
    files = sorted(path for path in folder.glob("*.y*ml") if path.is_file())
    if not files:
        raise StartError(f"{folder} holds no .yml files to publish", final=True)
    for path in files:
        try:
            parse_yaml(path.read_text(encoding="utf-8"))
        except DocumentError as error:
            raise StartError(f"{path}: {error}", final=True) from error
    client = NacosClient(settings)
    try:
        await retried("Nacos", settings.start_timeout, client.connect)
        for path in files:
            await _publish_if_absent(client, path, settings.config.group)
    except NacosError as error:
        raise StartError(str(error)) from error
    finally:
        await client.close()


async def _publish_if_absent(client: NacosClient, path: Path, group: str) -> None:
    if await client.get_config(path.name, group) is not None:
        log.info("%s is in Nacos already; left as it is", path.name)
        return
    await client.publish_config(path.name, group, path.read_text(encoding="utf-8"))
    log.info("%s published", path.name)
