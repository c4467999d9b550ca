"""At least once: pushes kept in Redis, for clients that come back."""
