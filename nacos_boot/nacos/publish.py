"""Publish documents to Nacos, where a data id is absent."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

from nacos_boot.documents.error import DocumentError
from nacos_boot.documents.parse import DocumentKind, kind_of, parse
from nacos_boot.nacos.client import NacosClient
from nacos_boot.nacos.error import NacosError
from nacos_boot.start.nacos_settings import NacosSettings
from nacos_boot.start.startup import StartError, retried

log = logging.getLogger(__name__)

_ENDINGS = {f".{kind}" for kind in get_args(DocumentKind)}
_LOCAL = "bootstrap"


async def publish(paths: Iterable[Path], settings: NacosSettings) -> None:
    """Publish each file, and each document of a folder, as the data id that its name is.

    All are read first, for what they are written in; they go to the config group. What stands in
    Nacos is never overwritten: people edit it there. Raises StartError.
    """
    documents = _read(paths)
    client = NacosClient(settings)
    try:
        await retried("Nacos", settings.start_timeout, client.connect)
        for data_id, content in documents.items():
            await _publish_if_absent(client, data_id, content, settings.config.group)
    except NacosError as error:
        raise StartError(str(error)) from error
    finally:
        await client.close()


def _read(paths: Iterable[Path]) -> dict[str, str]:
    documents: dict[str, str] = {}
    for path in (found for given in paths for found in _documents(given)):
        if path.name in documents:
            raise StartError(f"{path}: another of the files is {path.name}, too", final=True)
        try:
            documents[path.name] = path.read_text(encoding="utf-8")
            parse(documents[path.name], kind_of(path.name))
        except (OSError, UnicodeDecodeError, DocumentError) as error:
            raise StartError(f"{path}: {error}", final=True) from error
    return documents


def _documents(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        if path.suffix not in _ENDINGS:
            raise StartError(
                f"{path} is no document: expected a name that ends in {_endings()}", final=True
            )
        yield path
        return
    found = [
        file
        for file in sorted(path.iterdir())
        # Bootstrap files are read before Nacos is asked.
        if file.is_file() and file.suffix in _ENDINGS and file.stem != _LOCAL
    ]
    if not found:
        raise StartError(f"{path} holds no document to publish ({_endings()})", final=True)
    yield from found


def _endings() -> str:
    return ", ".join(sorted(_ENDINGS))


async def _publish_if_absent(client: NacosClient, data_id: str, content: str, group: str) -> None:
    if await client.get_config(data_id, group) is not None:
        log.info("%s is in Nacos already; left as it is", data_id)
        return
    await client.publish_config(data_id, group, content)
    log.info("%s published", data_id)
