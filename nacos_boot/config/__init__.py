"""Live configuration: read, watched, swapped whole, and reported."""
