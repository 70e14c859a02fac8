"""The house rules of the code base as functions of its text: who may import whom, and how long.

Nothing of react_mm is imported here; ``tests/test_package.py`` applies the rules to the checkout
and to planted violations.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path

MAX_FILE, MAX_FUNCTION, MAX_TOOL = 400, 80, 150
EMPTY_NAMES = {"utils", "util", "misc", "common", "helpers", "helper"}
# a part of the package -> our own parts that it must not know
FORBIDDEN = {
    "react_mm": ("tools",),
    "react_mm.models": (
        "react_mm.datasets",
        "react_mm.evaluation",
        "react_mm.apis",
        "react_mm.retrieval",
    ),
    "react_mm.retrieval": (
        "react_mm.models",
        "react_mm.datasets",
        "react_mm.evaluation",
        "react_mm.apis",
        "react_mm.engine",
    ),
    "react_mm.datasets": ("react_mm.models", "react_mm.apis"),
    "react_mm.registry": ("react_mm.models", "react_mm.datasets", "react_mm.retrieval"),
    "react_mm.prompts": ("react_mm.models", "react_mm.datasets", "react_mm.retrieval"),
    "react_mm.checkpoints": ("react_mm.models", "react_mm.datasets", "react_mm.retrieval"),
    "react_mm.manifest": ("react_mm.models", "react_mm.datasets", "react_mm.retrieval"),
    "react_mm.ops": ("react_mm.models", "react_mm.datasets", "react_mm.retrieval"),
    "react_mm.reporting": ("react_mm.models", "react_mm.datasets", "react_mm.evaluation"),
}
# a part of the package -> packages of others that it must work without
FOREIGN = {"react_mm.retrieval": ("mmdet", "mmseg", "mmcv", "mmengine", "open_clip", "torch")}


@dataclasses.dataclass
class Module:
    """One source file: its dotted name, where it lies and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module
    lines: int

    @property
    def is_package(self) -> bool:
        """Whether the file is a package's ``__init__.py``."""
        return self.path.name == "__init__.py"


def read_modules(root: Path) -> dict[str, Module]:
    """Parses every source file below ``react_mm/`` and ``tools/``, by dotted name."""
    modules = {}
    for top in ("react_mm", "tools"):
        for path in sorted((root / top).rglob("*.py")):
            if ".mim" in path.parts:
                continue
            parts = list(path.relative_to(root).with_suffix("").parts)
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            text = path.read_text(encoding="utf-8")
            modules[name] = Module(name, path, ast.parse(text), len(text.splitlines()))
    return modules


def imported_names(module: Module) -> set[str]:
    """Every dotted name that a module imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.name.split(".")
                kept = parents[: len(parents) - node.level + int(module.is_package)]
                base = ".".join(kept + ([node.module] if node.module else []))
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def layer_violations(modules: dict[str, Module]) -> list[str]:
    """Imports that the layers of design section 2 do not allow."""
    found = set()
    for module in modules.values():
        names = imported_names(module)
        for table in (FORBIDDEN, FOREIGN):
            for part, banned in table.items():
                if _under(module.name, part):
                    hits = (name for name in names if any(_under(name, b) for b in banned))
                    found.update(f"{module.name} imports {name}" for name in hits)
    return sorted(found)


def circles(modules: dict[str, Module]) -> list[str]:
    """Circular imports between our modules, ``a -> b -> a``."""
    graph: dict[str, set[str]] = {}
    for module in modules.values():
        for name in imported_names(module):
            own = name if name in modules else name.rpartition(".")[0]
            if own in modules and own != module.name and not modules[own].is_package:
                graph.setdefault(module.name, set()).add(own)
    done: set[str] = set()
    found: dict[tuple[str, ...], str] = {}

    def visit(node: str, trail: list[str]) -> None:
        if node in trail:
            loop = trail[trail.index(node) :]
            found[tuple(sorted(loop))] = " -> ".join([*loop, node])
            return
        if node in done:
            return
        for target in sorted(graph.get(node, ())):
            visit(target, [*trail, node])
        done.add(node)

    for start in sorted(graph):
        visit(start, [])
    return sorted(found.values())


def size_violations(modules: dict[str, Module]) -> list[str]:
    """Files, tools and functions that are too long, and file names that say nothing."""
    found = []
    for module in modules.values():
        limit = MAX_TOOL if module.name.startswith("tools") else MAX_FILE
        if module.lines > limit:
            found.append(f"{module.name}: {module.lines} lines, at most {limit}")
        if module.path.stem in EMPTY_NAMES:
            found.append(f"{module.name}: the name says nothing about what is in it")
        for node in functions(module):
            size = node.end_lineno - node.lineno + 1
            if size > MAX_FUNCTION:
                found.append(f"{module.name}.{node.name}: {size} lines, at most {MAX_FUNCTION}")
    return found


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a module."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def coverage(modules: dict[str, Module]) -> tuple[float, float]:
    """Fractions of public things with a docstring and of arguments with an annotation."""
    public = documented = arguments = annotated = 0
    for module in modules.values():
        for node in ast.walk(module.tree):
            is_class = isinstance(node, ast.ClassDef)
            if not is_class and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if not node.name.startswith("_"):
                public += 1
                documented += ast.get_docstring(node) is not None
            if not is_class:
                given = [a for a in node.args.args + node.args.kwonlyargs if a.arg != "self"]
                given = [a for a in given if a.arg != "cls"]
                arguments += len(given)
                annotated += sum(a.annotation is not None for a in given)
    return documented / max(public, 1), annotated / max(arguments, 1)


def _under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")
