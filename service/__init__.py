"""The WebSocket node."""
