"""A tiny base for the tests of training."""

from tests.test_models.conftest import base

__all__ = ["base"]
