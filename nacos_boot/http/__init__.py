"""The ASGI server, its HTTP protocol, and errors as problem documents."""
