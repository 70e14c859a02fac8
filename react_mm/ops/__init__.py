"""Operators of mmcv without compiling: the finder which answers for a missing ``mmcv._ext``.

``pip install`` of mmcv gives a package without its compiled extension, and ``import mmcv.ops`` (so
also ``import mmdet``) then fails. The finder below is asked last of all finders, so a compiled
extension always wins; only when there is none does it hand out :mod:`react_mm.ops.mmcv_ext`.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

EXTENSION_NAME = "mmcv._ext"


class MmcvExtensionFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds and loads the stand-in for ``mmcv._ext``; knows no other name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Answers for ``mmcv._ext`` only.

        Args:
            fullname: Absolute module name asked for.
            path: Search path of the parent package; unused.
            target: Module being reloaded; unused.

        Returns:
            A spec loaded by this object, or None for every other name.
        """
        if fullname != EXTENSION_NAME:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin="react_mm.ops.mmcv_ext")

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Leaves the creation of the module object to the import system."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Fills the module: torchvision's operators, and a refusal for every other name."""
        from react_mm.ops import mmcv_ext

        for name in mmcv_ext.OPERATORS:
            setattr(module, name, getattr(mmcv_ext, name))
        module.__getattr__ = mmcv_ext.missing_operator
        module.__doc__ = mmcv_ext.__doc__


def install_mmcv_finder() -> None:
    """Appends the finder to ``sys.meta_path`` once; later calls change nothing."""
    if not any(isinstance(finder, MmcvExtensionFinder) for finder in sys.meta_path):
        sys.meta_path.append(MmcvExtensionFinder())


__all__ = ["EXTENSION_NAME", "MmcvExtensionFinder", "install_mmcv_finder"]
