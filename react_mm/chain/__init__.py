"""The chain: one config from a list of names to novel AP, each stage's card naming the one before.

It drives retrieval, training, evaluation and reporting, so it may import all of them; nothing but
``tools/`` and the studies in ``toy/`` imports it.
"""
