"""`python -m nacos_boot publish FOLDER`: put a folder of YAML documents into Nacos."""

import argparse
import os
import sys
from pathlib import Path

from nacos_boot.admin_user import create_admin
from nacos_boot.bootstrap import NacosSettings
from nacos_boot.program import Stop, run_program
from nacos_boot.publish import publish_folder
from nacos_boot.settings import SettingsError, bind
from nacos_boot.sources import PropertySource


def main(arguments: list[str]) -> int:
    """Run a command; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m nacos_boot")
    commands = parser.add_subparsers(dest="command", required=True)
    publish = commands.add_parser(
        "publish",
        help="publish each .yml file of a folder as a data id, where the data id is absent",
        description="The server and the account come from NACOS_SERVER_ADDR, NACOS_USERNAME,"
        " NACOS_PASSWORD and NACOS_NAMESPACE.",
    )
    publish.add_argument(
        "--create-admin",
        action="store_true",
        help="first create the user 'nacos' with NACOS_PASSWORD, where the server has no user yet",
    )
    publish.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
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
        parser.error(str(error))

    async def command(_stop: Stop) -> None:
        if options.create_admin:
            await create_admin(settings)
        await publish_folder(options.folder, settings)

    return run_program(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
