"""The peers: programs that the benchmarks measure beside this project, one each.

Started as `python -m bench.peers.<name> PORT`; each listens on loopback and is ready when its port
is. Of each, the settings are what its own documentation advises, and its docstring names them.
"""
