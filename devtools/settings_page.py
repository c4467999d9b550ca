"""`python -m devtools.settings_page`: write docs/settings.md from the settings' declarations."""

import sys

from devtools.paths import ROOT
from gateway_lb.settings import GatewaySettings
from nacos_boot.settings.framework import FrameworkSettings
from nacos_boot.start.local_settings import BootstrapSettings
from nacos_boot.tools.setting_table import table_of_settings
from service.settings import NodeSettings

COMMAND = "python -m devtools.settings_page"
PAGE = ROOT / "docs" / "settings.md"

_DISCOVERY = "spring.cloud.nacos.discovery"
_LOGGING = "logging"


def settings_page() -> str:
    """Give the page's text."""
    return f"""\
# Settings

Every key, as the code declares it: `{COMMAND}` writes this page, and a
test fails where it differs. Where settings come from, and what happens to an edit, is told in
[configuration.md](configuration.md). A default has its unit beside it where it needs one; durations
carry theirs (`500ms`, `15s`, `2m`; a bare number is milliseconds). The same as a YAML document, and
as a JSON Schema for editors: `nacos_boot schema service`,
`nacos_boot schema --format json gateway_lb`.

## Reaching Nacos

Read from `bootstrap.yml`, the environment and the command line only: they are needed to find the
documents.

{table_of_settings(BootstrapSettings, without=[_DISCOVERY])}
## Any program: registration, discovery, logs

May stand in the documents in Nacos, too.

{table_of_settings(FrameworkSettings)}
## The node: `websocket-service.yml`, `common.yml`

{table_of_settings(NodeSettings, without=[_LOGGING])}
`server.port` is 8081 in the node's `bootstrap.yml` and 8000 in the gateway's.

## The gateway: `websocket-gateway.yml`, `common.yml`

{table_of_settings(GatewaySettings, without=[_LOGGING])}"""


if __name__ == "__main__":
    PAGE.write_text(settings_page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)} is written\n")
