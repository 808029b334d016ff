"""The whole system in one process, on a virtual clock, under one seed.

`python -m tests.simulation` runs seeds; `docs/architecture.md` says how the parts fit together.
"""
