"""Retrieval: a pool of image-text pairs to a set of pairs about given concepts.

The stages are embed, index, query, select, export and sample; :mod:`react_mm.retrieval.pipeline`
runs them from one config. Nothing here imports a model: an encoder is a callable handed in.
"""
