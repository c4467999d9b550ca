"""Measures what servers cost: `python -m bench.scale.measure` writes it into the costs file."""
