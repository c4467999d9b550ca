"""What a Quart service gets from Nacos: live configuration, registration, discovery, actuator."""
