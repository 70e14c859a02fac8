"""Child registries of mmengine's roots, in the scope ``react_mm``.

Everything of ours is built as ``type='react_mm.X'``. ``locations`` makes the first build import the
folder that registers it, so nobody star-imports. Importing this module also tells mmengine where
``_base_ = ['mmseg::...']`` and ``['react_mm::...']`` lie: the maintained forks changed their
distribution names, which mmengine's own table does not know.
"""

from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import DATA_SAMPLERS as ROOT_DATA_SAMPLERS
from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.registry import LOOPS as ROOT_LOOPS
from mmengine.registry import METRICS as ROOT_METRICS
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as ROOT_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as ROOT_OPTIM_WRAPPERS
from mmengine.registry import TASK_UTILS as ROOT_TASK_UTILS
from mmengine.registry import TRANSFORMS as ROOT_TRANSFORMS
from mmengine.registry import Registry

for _module in ("mmdet", "mmseg", "react_mm"):
    MODULE2PACKAGE[_module] = _module

_ENGINE = ["react_mm.engine"]

MODELS = Registry("model", parent=ROOT_MODELS, scope="react_mm", locations=["react_mm.models"])
TASK_UTILS = Registry(  # imported by the detectors, since assigners need mmdet
    "task util", parent=ROOT_TASK_UTILS, scope="react_mm", locations=["react_mm.models"]
)
DATASETS = Registry(
    "dataset", parent=ROOT_DATASETS, scope="react_mm", locations=["react_mm.datasets"]
)
TRANSFORMS = Registry(
    "transform", parent=ROOT_TRANSFORMS, scope="react_mm", locations=["react_mm.datasets"]
)
METRICS = Registry(
    "metric", parent=ROOT_METRICS, scope="react_mm", locations=["react_mm.evaluation"]
)
LOOPS = Registry("loop", parent=ROOT_LOOPS, scope="react_mm", locations=["react_mm.evaluation"])
HOOKS = Registry("hook", parent=ROOT_HOOKS, scope="react_mm", locations=_ENGINE)
DATA_SAMPLERS = Registry(
    "data sampler", parent=ROOT_DATA_SAMPLERS, scope="react_mm", locations=_ENGINE
)
OPTIM_WRAPPERS = Registry(
    "optim_wrapper", parent=ROOT_OPTIM_WRAPPERS, scope="react_mm", locations=_ENGINE
)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    "optimizer wrapper constructor",
    parent=ROOT_OPTIM_WRAPPER_CONSTRUCTORS,
    scope="react_mm",
    locations=_ENGINE,
)
