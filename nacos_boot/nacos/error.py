"""What can go wrong with a call to Nacos."""

from nacos_boot.start.startup import StartError


class NacosError(Exception):
    """Nacos did not do what was asked. The message names the server."""


class NacosForbiddenError(NacosError):
    """Nacos refused the account."""


class UnreachableError(StartError):
    """The start cannot go on since Nacos does not answer; it may later."""
