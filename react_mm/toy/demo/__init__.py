"""The demo: the whole line on the drawn world, each stage stamped so that a rerun reuses it."""
