"""What the node's health depends on."""

from nacos_boot.health import Health, HealthRegistry, Status
from service.broker import Broker
from service.directory import Directory


def add_indicators(
    health: HealthRegistry, broker: Broker, directory: Directory, redis_address: str
) -> None:
    """Have health and readiness tell of RabbitMQ and Redis."""

    def rabbit() -> Health:
        well = broker.publishing and broker.consuming
        details = {
            "address": broker.address,
            "publishing": broker.publishing,
            "consuming": broker.consuming,
        }
        return Health(Status.UP if well else Status.DOWN, details)

    def redis() -> Health:
        details = {"address": redis_address, "directorySettled": directory.settled}
        return Health(Status.UP if directory.up else Status.DOWN, details)

    health.add("rabbit", rabbit, readiness=True)
    health.add("redis", redis, readiness=True)
