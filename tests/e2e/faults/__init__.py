"""The fault harness: real faults on a real cluster under load, every push checked at every client.

`./dev faults` runs it; docs/reliability.md holds its table and says what each column means.
"""
