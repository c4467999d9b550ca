"""A real Nacos server out of Maven Central, without Docker; for a laptop and tests only."""

from devtools.nacos.server import NacosServer

__all__ = ["NacosServer"]
