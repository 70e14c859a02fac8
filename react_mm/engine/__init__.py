"""Parts of training, registered in the scope ``react_mm``."""

from react_mm.engine.autocast import AutocastOptimWrapper
from react_mm.engine.checkpoint_hook import SafeCheckpointHook
from react_mm.engine.ema_hook import TrainableEMAHook
from react_mm.engine.export_hook import ExportHook
from react_mm.engine.interpolation_hook import InterpolationHook
from react_mm.engine.mixed_precision import mixed_precision_optim_wrapper
from react_mm.engine.optim_constructor import CustomizationOptimConstructor
from react_mm.engine.prefix_cache_hook import PrefixCacheHook
from react_mm.engine.samplers import PairSampler
from react_mm.engine.text_cache_hook import TextCacheHook
from react_mm.engine.vocabulary_hook import VocabularyHook

__all__ = [
    "AutocastOptimWrapper",
    "CustomizationOptimConstructor",
    "ExportHook",
    "InterpolationHook",
    "PairSampler",
    "PrefixCacheHook",
    "SafeCheckpointHook",
    "TextCacheHook",
    "TrainableEMAHook",
    "VocabularyHook",
    "mixed_precision_optim_wrapper",
]
