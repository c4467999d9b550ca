"""Bytes and texts that nobody would write, at every place where something is read."""
