"""What can go wrong with a call to Nacos."""


class NacosError(Exception):
    """Nacos did not do what was asked. The message names the server."""


class NacosForbiddenError(NacosError):
    """Nacos refused the account."""
