"""RECO: embeddings refined by what a memory holds, and its training-free neighbours."""

from .fusion import MeanFusion, NeighbourFusion
from .neighbour_votes import NeighbourVotes
from .reco import RECO
from .refiner import MemoryRefiner

__all__ = ["RECO", "MeanFusion", "MemoryRefiner", "NeighbourFusion", "NeighbourVotes"]
