"""TLS by settings: for the port that a program listens on, and towards the servers it uses."""
