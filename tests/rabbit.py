"""Settings of the test run's RabbitMQ, which knows the account of every new one."""

from typing import Any

from devtools.rabbitmq import PASSWORD, USER
from service.settings_servers import RabbitSection


def local_rabbit(**settings: Any) -> RabbitSection:
    """Give `spring.rabbitmq` with the account, and what else is said."""
    return RabbitSection(**{"username": USER, "password": PASSWORD, **settings})
