"""The ASGI server and its HTTP protocol, who may call, and errors as problem documents."""
