"""How large a cluster has to be: measured costs, a workload, and what they come to.

`python -m bench.scale` prints the tables of docs/scale.md.
"""
