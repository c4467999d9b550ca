"""Developer tooling behind `./dev`: real servers, a local cluster, checks and benchmarks.

Not part of the distribution. Everything here runs on the standard library.
"""
