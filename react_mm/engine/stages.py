"""Stages with a stamp: settings and inputs in, a small result out, reused while nothing changed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import Any

from react_mm.engine.lanes import Lanes
from react_mm.manifest import read_json, sha256_file, write_json

Result = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Stamp:
    """What is known of a finished stage.

    Attributes:
        key: Hash of the settings and of the digests of all inputs.
        digest: Hash of the result and of the output files; the input of later stages.
        seconds: Wall-clock seconds that the stage took when it ran.
        result: What the stage returned.
        outputs: Size and sha256 of each output file, by name relative to the run's folder.
    """

    key: str
    digest: str
    seconds: float
    result: Result
    outputs: dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Job:
    """A stage that may run in a process of its own.

    Attributes:
        name: Name of the stage.
        function: A module-level function that returns what JSON can hold.
        arguments: Its arguments, picklable.
        settings: Everything but the inputs that the result depends on.
        after: Earlier stages whose results or files are the inputs.
        outputs: Files that the function writes.
    """

    name: str
    function: Callable[..., Result]
    arguments: tuple[Any, ...]
    settings: Mapping[str, Any]
    after: Sequence[str] = ()
    outputs: Sequence[Path] = ()


class Stages:
    """Runs named stages in a folder and remembers what they gave.

    Args:
        folder: The run's folder; stamps lie in ``<folder>/stages/NAME.json``.
        say: Where lines go.
        again: Names of stages to run whatever their stamp says (a space may be written as ``-``);
            later ones follow by inputs.
    """

    def __init__(
        self, folder: Path, say: Callable[[str], None] = print, again: Sequence[str] = ()
    ) -> None:
        self.folder = Path(folder)
        self.say = say
        self.again = {name.replace(" ", "-") for name in again}
        self.stamps: dict[str, Stamp] = {}
        self.reused: list[str] = []

    def run(
        self,
        name: str,
        function: Callable[[], Result],
        settings: Mapping[str, Any],
        after: Sequence[str] = (),
        outputs: Sequence[Path] = (),
        whole: Callable[[], bool] | None = None,
    ) -> Result:
        """Runs a stage, or takes its result from an earlier run.

        Args:
            name: Name of the stage.
            function: Does the work and returns what JSON can hold.
            settings: Everything but the inputs that the result depends on.
            after: Earlier stages whose results or files are the inputs.
            outputs: Files that the function writes; they must be whole for a result to be reused.
            whole: Says whether what else the function wrote is still there.

        Returns:
            The stage's result.

        Raises:
            KeyError: When an input stage has not run in this process.
            FileNotFoundError: When the function did not write one of its outputs.
        """
        key = self._key(name, settings, after)
        stamp = self._reusable(name, key, whole)
        if stamp is None:
            self.say(f"== {name}")
            self._place(name).unlink(missing_ok=True)  # a kill must not leave it beside new files
            start = time.perf_counter()
            result = _plain(function())
            stamp = self._finish(name, key, time.perf_counter() - start, result, outputs)
        else:
            self._say_reused(name, stamp)
        self.stamps[name] = stamp
        return stamp.result

    def run_beside(self, jobs: Sequence[Job], lanes: Lanes) -> dict[str, Result]:
        """Runs stages that do not need each other side by side.

        Args:
            jobs: The stages.
            lanes: Where they run.

        Returns:
            Their results by name, finished before or now.
        """
        waiting: dict[Future, tuple[Job, str]] = {}
        for job in jobs:
            key = self._key(job.name, job.settings, job.after)
            stamp = self._reusable(job.name, key, None)
            if stamp is None:
                self._place(job.name).unlink(missing_ok=True)
                waiting[lanes.submit(_timed, job.function, *job.arguments)] = (job, key)
            else:
                self._say_reused(job.name, stamp)
                self.stamps[job.name] = stamp
        if waiting:
            self.say(f"== side by side: {', '.join(job.name for job, _ in waiting.values())}")
        for future in as_completed(waiting):
            job, key = waiting[future]
            seconds, result = future.result()
            stamp = self._finish(job.name, key, seconds, _plain(result), job.outputs)
            self.stamps[job.name] = stamp
        return {job.name: self.stamps[job.name].result for job in jobs}

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of each stage when it ran."""
        return {name: round(stamp.seconds, 2) for name, stamp in self.stamps.items()}

    def work_dir(self, name: str, fresh: bool = False) -> Path:
        """A folder for a stage's own files; emptied first when ``fresh``."""
        folder = self.folder / name.replace(" ", "-")
        if fresh and folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _place(self, name: str) -> Path:
        return self.folder / "stages" / f"{name.replace(' ', '-')}.json"

    def _key(self, name: str, settings: Mapping[str, Any], after: Sequence[str]) -> str:
        inputs = {earlier: self.stamps[earlier].digest for earlier in after}
        return _hash({"name": name, "settings": _plain(settings), "inputs": inputs})

    def _say_reused(self, name: str, stamp: Stamp) -> None:
        self.reused.append(name)
        self.say(f"== {name}: finished before ({stamp.seconds:.1f} s){_brief(stamp.result)}")

    def _reusable(self, name: str, key: str, whole: Callable[[], bool] | None) -> Stamp | None:
        place = self._place(name)
        if place.stem in self.again or not place.is_file() or (whole is not None and not whole()):
            return None
        try:
            stamp = Stamp(**read_json(place))
        except (TypeError, RuntimeError):
            return None
        if stamp.key != key:
            return None
        for relative, entry in stamp.outputs.items():
            path = self.folder / relative
            if not path.is_file() or path.stat().st_size != entry["bytes"]:
                return None
            if sha256_file(path) != entry["sha256"]:
                return None
        return stamp

    def _finish(
        self, name: str, key: str, seconds: float, result: Result, outputs: Sequence[Path]
    ) -> Stamp:
        found = {}
        for path in outputs:
            if not Path(path).is_file():
                raise FileNotFoundError(f"stage {name!r} did not write {path}")
            relative = Path(path).resolve().relative_to(self.folder.resolve())
            entry = {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
            found[relative.as_posix()] = entry
        stamp = Stamp(key, _hash({"result": result, "outputs": found}), seconds, result, found)
        write_json(self._place(name), dataclasses.asdict(stamp))
        self.say(f"   {name}: {seconds:.1f} s{_brief(result)}")
        return stamp


def _timed(function: Callable[..., Result], *arguments: Any) -> tuple[float, Result]:
    """Seconds and result of a call, measured where it runs."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, sort_keys=True, default=str))


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _brief(result: Result) -> str:
    """The result's few scalars, for the line that ends a stage."""
    shown = []
    for name, value in result.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        shown.append(f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value:,}")
    return "; " + ", ".join(shown[:6]) if shown else ""
