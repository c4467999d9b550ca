"""What a Quart service gets from Nacos: live configuration, registration, discovery, actuator."""

__version__ = "0.1.0"
