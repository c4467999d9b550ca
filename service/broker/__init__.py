"""RabbitMQ: what nodes say to each other, and that none of it is lost on the way."""
