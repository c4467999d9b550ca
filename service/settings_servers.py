"""`spring.rabbitmq` and `spring.data.redis`: where the servers are, under Spring's names."""

from datetime import timedelta

from pydantic import SecretStr

from nacos_boot.settings import Duration, OpenSection, setting
from nacos_boot.tls.settings import ClientSslSection

MOVE = "the node moves over, its clients stay connected"


class RabbitSection(OpenSection):
    """`spring.rabbitmq`."""

    host: str = setting("127.0.0.1", "Host of RabbitMQ.", when=MOVE)
    port: int = setting(5672, "AMQP port.", when=MOVE, ge=1, le=65535)
    username: str = setting("", "Account; there is none by default.", when=MOVE)
    password: SecretStr = setting(SecretStr(""), "Its password.", when=MOVE)
    virtual_host: str = setting("/", "Virtual host.", when=MOVE)
    ssl: ClientSslSection = ClientSslSection()


class RedisSection(OpenSection):
    """`spring.data.redis`."""

    host: str = setting("127.0.0.1", "Host of Redis.", when=MOVE)
    port: int = setting(6379, "Its port.", when=MOVE, ge=1, le=65535)
    username: str = setting("", "Account; empty: default.", when=MOVE)
    password: SecretStr = setting(SecretStr(""), "Its password; empty: none.", when=MOVE)
    database: int = setting(0, "Database number.", when=MOVE, ge=0)
    timeout: Duration = setting(timedelta(seconds=1), "Limit of one command.", when=MOVE)
    ssl: ClientSslSection = ClientSslSection()


class _DataSection(OpenSection):
    redis: RedisSection = RedisSection()


class SpringSection(OpenSection):
    """`spring`: where the servers are."""

    rabbitmq: RabbitSection = RabbitSection()
    data: _DataSection = _DataSection()
