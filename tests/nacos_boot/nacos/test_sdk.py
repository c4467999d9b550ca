"""What is loaded of the Nacos SDK. Each test is a process of its own: modules are loaded once."""

import subprocess
import sys

from devtools.paths import ROOT


def run(program: str) -> str:
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_nothing_here_uses_is_not_loaded() -> None:
    loaded = run("import sys, nacos_boot.nacos.client; print(*sys.modules)").split()
    assert "v2.nacos.naming.nacos_naming_service" in loaded
    roots = {name.partition(".")[0] for name in loaded}
    assert not roots & {"a2a", "alibabacloud_kms20160120", "Crypto", "requests"}


def test_others_get_the_real_modules() -> None:
    assert run(
        "import nacos_boot.nacos.client\n"
        "from v2.nacos.config.filter.config_encryption_filter import ConfigEncryptionFilter\n"
        "from v2.nacos.ai.model.ai_response import QueryMcpServerResponse\n"
        "print(ConfigEncryptionFilter.__name__, QueryMcpServerResponse.__name__)"
    ).endswith("ConfigEncryptionFilter QueryMcpServerResponse")


def test_the_order_of_imports_does_not_matter() -> None:
    assert run(
        "import v2.nacos as sdk\n"
        "import nacos_boot.nacos.client as client\n"
        "print(client.NacosConfigService is sdk.NacosConfigService)"
    ).endswith("True")


def test_what_is_left_out_says_so_when_it_is_used() -> None:
    assert run(
        "import nacos_boot.nacos.client\n"
        "from v2.nacos.config import nacos_config_service as module\n"
        "try:\n"
        "    module.ConfigEncryptionFilter(None)\n"
        "except NotImplementedError as error:\n"
        "    print(error)"
    ).endswith("this part of the Nacos SDK is not loaded here")
