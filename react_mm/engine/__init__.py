"""Parts of training, registered in the scope ``react_mm``."""

from react_mm.engine.autocast import AutocastOptimWrapper
from react_mm.engine.checkpoint_hook import SafeCheckpointHook
from react_mm.engine.optim_constructor import CustomizationOptimConstructor
from react_mm.engine.samplers import PairSampler

__all__ = ["AutocastOptimWrapper", "CustomizationOptimConstructor", "PairSampler", "SafeCheckpointHook"]
