"""`nacos_boot publish | check | schema | api-key`; also as `python -m nacos_boot`."""

import argparse
import sys
from collections.abc import Sequence

from nacos_boot.tools.api_key_command import add_api_key, run_api_key
from nacos_boot.tools.check_command import add_check, run_check
from nacos_boot.tools.publish_command import add_publish, run_publish
from nacos_boot.tools.schema_command import add_schema, run_schema


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit code."""
    parser = argparse.ArgumentParser(prog="nacos_boot", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    add_check(
        commands.add_parser(
            "check",
            help="check documents against a program's settings, before they are published",
            description="Prints each fault as file:line: key = value: what was expected. Exits with"
            " 0 where there is no error, 1 where there is, 2 where nothing could be checked.",
        )
    )
    add_schema(
        commands.add_parser(
            "schema",
            help="print every setting of a program: default, meaning, unit, what a change does",
            description="Prints a commented YAML document, a JSON Schema or a Markdown table.",
        )
    )
    add_publish(
        commands.add_parser(
            "publish",
            help="publish documents (.yml, .yaml, .properties, .json) where the data id is absent",
            description="The server and the account come from NACOS_SERVER_ADDR, NACOS_USERNAME,"
            " NACOS_PASSWORD and NACOS_NAMESPACE.",
        )
    )
    add_api_key(
        commands.add_parser(
            "api-key",
            help="make an API key",
            description="Prints the key once, on standard error, and on standard output the entry"
            " for a list of API keys, which holds its hash only.",
        )
    )
    options = parser.parse_args(arguments)
    run = {
        "check": run_check,
        "schema": run_schema,
        "publish": run_publish,
        "api-key": run_api_key,
    }
    return run[options.command](options)


if __name__ == "__main__":
    sys.exit(main())
