"""Moving to another RabbitMQ or Redis together with the other nodes."""
