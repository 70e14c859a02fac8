"""Ready-made entry points."""
