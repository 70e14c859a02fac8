"""Accuracy and IoU over groups of classes: target (novel) and other (base)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

BACKGROUND = "background"


def class_groups(metainfo: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Class indices per group.

    Args:
        metainfo: ``classes``, and optionally ``novel_classes`` (the target).

    Returns:
        ``all``, and if there are novel classes ``target`` and ``other``; a class named
        ``background`` belongs to ``all`` only.
    """
    classes: Sequence[str] = metainfo["classes"]
    groups = {"all": np.arange(len(classes))}
    novel = set(metainfo.get("novel_classes") or ())
    if novel:
        inside = np.array([name in novel for name in classes])
        outside = np.array([name not in novel and name != BACKGROUND for name in classes])
        groups["target"] = np.flatnonzero(inside)
        groups["other"] = np.flatnonzero(outside)
    return groups
