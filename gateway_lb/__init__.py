"""The load-balancing gateway: HTTP reverse proxy and WebSocket relay in front of the nodes."""
