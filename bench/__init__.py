"""Measurements side by side with peers: `./dev bench [name]`. docs/performance.md explains them.

Not part of the distribution.
"""
