"""The chain's first stages: the pool is embedded, indexed, searched, selected from, exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from react_mm.chain.plan import parsed_retrieval, pool_identity, retrieval_settings
from react_mm.chain.settings import ChainSettings
from react_mm.engine.stages import Result, Stages
from react_mm.manifest import Manifest, ManifestError
from react_mm.retrieval.pipeline import run

FOLDERS = {
    "embed": "embeddings",
    "index": "index",
    "query": "hits",
    "select": "selected",
    "export": "retrieved",
}


class RetrievalStages:
    """Runs the retrieval line inside the chain's folder, stage by stage.

    Args:
        settings: The chain's.
    """

    def __init__(self, settings: ChainSettings) -> None:
        self.settings = settings
        self.folder = settings.work_dir / "retrieval"
        self.content: dict[str, Any] = retrieval_settings(settings)
        self._encoder: Any = None

    def run_all(self, stages: Stages, after: tuple[str, ...]) -> list[str]:
        """Runs every stage that is not done; returns the names of the last ones."""
        parsed = parsed_retrieval(self.settings)
        samples = [sample.name for sample in parsed.sample]
        last = after
        for name, folder in FOLDERS.items():
            content: dict[str, Any] = {"config": self.content}
            if name == "embed":
                content["pool"] = pool_identity(self.settings)
            self._stage(stages, name, content, last, [self.folder / folder])
            last = (name,)
        if not samples:
            return ["export"]
        places = [self.folder / "samples" / name for name in samples]
        self._stage(stages, "sample", {"config": self.content}, ("export",), places)
        return ["export", "sample"]

    def _stage(
        self,
        stages: Stages,
        name: str,
        content: dict[str, Any],
        after: tuple[str, ...],
        folders: list[Path],
    ) -> None:
        stages.run(
            name,
            lambda: self._run(name),
            content,
            after=after,
            outputs=[folder / "manifest.json" for folder in folders],
            whole=lambda: all(is_whole(folder) for folder in folders),
        )

    def _run(self, name: str) -> Result:
        return run(self.content, self._build(name), [name])[name]

    def _build(self, stage: str) -> Any:
        """The base as encoder, built when a stage first needs it."""
        if stage in ("embed", "query") and self._encoder is None:
            from react_mm.apis.encoder import build_encoder

            device = self.settings.device or ("cuda" if torch.cuda.is_available() else "cpu")
            self._encoder = build_encoder(self.content["encoder"], device)
        return self._encoder


def is_whole(folder: Path) -> bool:
    """Whether a stage's folder has a complete manifest and its files have the recorded sizes."""
    try:
        manifest = Manifest.load(folder)
        manifest.verify(hashes=False)
    except ManifestError:
        return False
    return manifest.complete
