"""Bodies of ``tools/benchmark.py``: each returns rows ``{name, value, unit, settings}``."""
