"""Pushes: read, planned, sent, delivered and reported."""
