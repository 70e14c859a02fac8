"""Before/after tables, curves and the single-file HTML report, made from result files alone."""
