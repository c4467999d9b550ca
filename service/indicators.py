"""What the node's health depends on."""

from nacos_boot.actuator.health import Health, HealthRegistry, Status
from service.broker.broker import Broker
from service.directory.directories import Directories


def add_indicators(health: HealthRegistry, broker: Broker, directories: Directories) -> None:
    """Have health and readiness tell of RabbitMQ and Redis."""

    def rabbit() -> Health:
        well = broker.publishing and broker.consuming
        return Health(Status.UP if well else Status.DOWN, broker.details)

    def redis() -> Health:
        return Health(Status.UP if directories.up else Status.DOWN, directories.details)

    health.add("rabbit", rabbit, readiness=True)
    health.add("redis", redis, readiness=True)
