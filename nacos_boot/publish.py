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
    documents = _read(folder)
    client = NacosClient(settings)
    try:
        await retried("Nacos", settings.start_timeout, client.connect)
        for data_id, content in documents.items():
            await _publish_if_absent(client, data_id, content, settings.config.group)
    except NacosError as error:
        raise StartError(str(error)) from error
    finally:
        await client.close()


def _read(folder: Path) -> dict[str, str]:
    documents: dict[str, str] = {}
    for path in sorted(path for path in folder.glob("*.y*ml") if path.is_file()):
        try:
            documents[path.name] = path.read_text(encoding="utf-8")
            parse_yaml(documents[path.name])
        except (OSError, UnicodeDecodeError, DocumentError) as error:
            raise StartError(f"{path}: {error}", final=True) from error
    if not documents:
        raise StartError(f"{folder} holds no .yml files to publish", final=True)
    return documents


async def _publish_if_absent(client: NacosClient, data_id: str, content: str, group: str) -> None:
    if await client.get_config(data_id, group) is not None:
        log.info("%s is in Nacos already; left as it is", data_id)
        return
    await client.publish_config(data_id, group, content)
    log.info("%s published", data_id)
