"""`nacos_boot publish FOLDER…`: put documents into Nacos, where a data id is absent."""

import argparse
import os
import sys
from pathlib import Path

from nacos_boot.nacos.admin_user import create_admin
from nacos_boot.nacos.publish import publish
from nacos_boot.program import Stop, run_program
from nacos_boot.settings.bind import SettingsError, bind
from nacos_boot.settings.sources import PropertySource
from nacos_boot.start.nacos_settings import NacosSettings

_WRONG_USE = 2


def add_publish(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--create-admin",
        action="store_true",
        help="first create the user 'nacos' with NACOS_PASSWORD, where the server has no user yet",
    )
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        type=Path,
        help="a document, or a folder of them; a file's name is its data id",
    )


def run_publish(options: argparse.Namespace) -> int:
    """Publish; gives the exit code."""
    source = PropertySource(
        "the environment",
        {
            "server-addr": "${NACOS_SERVER_ADDR:127.0.0.1:8848}",
            "username": "${NACOS_USERNAME:}",
            "password": "${NACOS_PASSWORD:}",
            "namespace": "${NACOS_NAMESPACE:}",
            "start-timeout": "${NACOS_START_TIMEOUT:60s}",
        },
    )
    try:
        settings = bind(NacosSettings, [source], os.environ).settings
    except SettingsError as error:
        sys.stderr.write(f"cannot publish: {error}\n")
        return _WRONG_USE

    async def command(_stop: Stop) -> None:
        if options.create_admin:
            await create_admin(settings)
        await publish(options.paths, settings)

    return run_program(command)
