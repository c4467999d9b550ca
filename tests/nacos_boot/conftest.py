"""How property tests run here: the same examples every time, and nothing left on disk."""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable")
