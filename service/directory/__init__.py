"""The Directory: where users and nodes are, in Redis."""
