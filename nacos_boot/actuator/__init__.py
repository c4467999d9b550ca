"""Spring Boot's actuator: health, metrics, and what else can be asked of a program."""
