"""Build steps that pyproject.toml cannot say: pinned requirements; configs and tools in the wheel.

As in OpenMMLab's packages, ``configs/``, ``tools/`` and ``model-index.yml`` are found at
``react_mm/.mim/`` of the installed package, so that ``_base_ = ['react_mm::...']`` resolves. A
wheel holds copies; an editable install holds links to the checkout.
"""

import os
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SHIPPED = ("configs", "tools", "model-index.yml")


def requirements() -> list[str]:
    """Reads requirements.txt without faiss, which comes as faiss-cpu or faiss-gpu, never both."""
    lines = (line.strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    return [line for line in lines if line and not line.startswith(("#", "faiss"))]


class BuildWithMim(build_py):
    """Adds ``react_mm/.mim``: copies for a wheel, links for an editable install."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            _link(ROOT / "react_mm" / ".mim")
        else:
            _copy(Path(self.build_lib) / "react_mm" / ".mim")

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Names what ``run`` wrote, so that the wheel's record has it."""
        outputs = super().get_outputs(include_bytecode)
        mim = Path(self.build_lib) / "react_mm" / ".mim"
        return outputs + [str(path) for path in sorted(mim.rglob("*")) if path.is_file()]


def _link(mim: Path) -> None:
    mim.mkdir(exist_ok=True)
    for name in SHIPPED:
        target = mim / name
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        target.symlink_to(os.path.relpath(ROOT / name, mim))


def _copy(mim: Path) -> None:
    if mim.exists():
        shutil.rmtree(mim)
    mim.mkdir(parents=True)
    for name in SHIPPED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, mim / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy2(source, mim / name)


setup(install_requires=requirements(), cmdclass={"build_py": BuildWithMim})
