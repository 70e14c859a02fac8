"""react_mm: retrieval-augmented customization of vision-language models for OpenMMLab users.

Importing this package is cheap: it pulls in neither torch nor any OpenMMLab package. Its one side
effect is a finder, appended to ``sys.meta_path``, which supplies mmcv's operators from torchvision
when mmcv was installed without its compiled extension (see :mod:`react_mm.ops.mmcv_ext`).
"""

from react_mm.ops import install_mmcv_finder

__version__ = "0.1.0"
__all__ = ["__version__"]

install_mmcv_finder()
