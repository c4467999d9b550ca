"""A small program's settings, and its start-up facts, for tests."""

from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from nacos_boot.settings import Duration, DurationOrZero, OpenSection, Section
from nacos_boot.settings.spring import LoggingSection, ServerSection
from nacos_boot.start.bootstrap import Bootstrap, load_bootstrap


class LimitsSection(Section):
    max_connections: int = Field(default=100, ge=1)
    warn_at: int = 50

    @model_validator(mode="after")
    def _warned_before_the_end(self) -> Self:
        if self.warn_at >= self.max_connections:
            raise ValueError(
                f"warn-at {self.warn_at} must be below max-connections {self.max_connections}"
            )
        return self


class DemoSection(Section):
    mode: Literal["slow", "fast"] = "slow"
    interval: Duration = timedelta(seconds=10)
    pause: DurationOrZero = timedelta(0)
    password: SecretStr = SecretStr("")
    names: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default={})
    limits: LimitsSection = LimitsSection()


class DemoSettings(OpenSection):
    demo: DemoSection = DemoSection()
    server: ServerSection = ServerSection()
    logging: LoggingSection = LoggingSection()


BOOTSTRAP = """
spring:
  application: {name: demo}
  cloud:
    nacos:
      server-addr: fake:8848
      start-timeout: 10ms
      config:
        watchdog-interval: 1h
        shared-configs:
          - {data-id: common.yml, refresh: true}
          - {data-id: fixed.yml, refresh: false}
        extension-configs:
          - {data-id: extension.yml, refresh: true}
"""


def bootstrap(
    folder: Path,
    *arguments: str,
    text: str = BOOTSTRAP,
    environ: dict[str, str] | None = None,
) -> Bootstrap:
    """Load a bootstrap file that lies in a folder, whose snapshots go there, too."""
    path = folder / "bootstrap.yml"
    path.write_text(text)
    return load_bootstrap(
        path,
        environ or {},
        [f"--spring.cloud.nacos.config.snapshot-dir={folder / 'snapshots'}", *arguments],
    )
