"""`nacos_boot schema MODEL`: print every setting of a program."""

import argparse
import sys

import msgspec

from nacos_boot.tools.check_command import MODEL_HELP
from nacos_boot.tools.find_model import ModelError, find_model
from nacos_boot.tools.setting_schema import schema_of_settings
from nacos_boot.tools.setting_table import table_of_settings
from nacos_boot.tools.setting_yaml import yaml_of_settings

_CANNOT_PRINT = 2


def add_schema(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "--format",
        choices=["yaml", "json", "markdown"],
        default="yaml",
        help="yaml: a document of all defaults with comments (the default); json: a JSON Schema for"
        " editors; markdown: a table",
    )


def run_schema(options: argparse.Namespace) -> int:
    """Print; gives 0, or 2 where there is no such model."""
    try:
        model = find_model(options.model).model
    except ModelError as error:
        sys.stderr.write(f"cannot print the settings: {error}\n")
        return _CANNOT_PRINT
    match options.format:
        case "json":
            encoded = msgspec.json.encode(schema_of_settings(model))
            text = msgspec.json.format(encoded, indent=2).decode() + "\n"
        case "markdown":
            text = table_of_settings(model)
        case _:
            text = yaml_of_settings(model)
    sys.stdout.write(text)
    return 0
