"""All retrieval stages from one config: embed, index, query, select, export, sample, hard-pairs.

Each stage writes a folder with a manifest, and is skipped when settings and inputs are unchanged.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from react_mm.manifest import (
    Manifest,
    RunLock,
    remove_leftovers,
    sha256_file,
    write_json,
)
from react_mm.retrieval.embeddings import embed_pool
from react_mm.retrieval.encoding import Encoder
from react_mm.retrieval.export import export_set
from react_mm.retrieval.hard_pairs import HardPairSettings, mine_retrieved
from react_mm.retrieval.held_out import held_out_hashes
from react_mm.retrieval.index import build_index, check_encoder, import_faiss, load_card
from react_mm.retrieval.queries import encode_queries, make_queries
from react_mm.retrieval.readers import Unit, list_pool
from react_mm.retrieval.records import (
    CHOICE_SCHEMA,
    HIT_SCHEMA,
    PAIR_SCHEMA,
    Query,
    read_parquet,
    write_parquet,
)
from react_mm.retrieval.report import write_report
from react_mm.retrieval.sampling import SampleSettings, sample_pairs
from react_mm.retrieval.search import search_modes
from react_mm.retrieval.selection import select_pairs
from react_mm.retrieval.settings import RetrievalSettings, parse_settings
from react_mm.retrieval.stored_embeddings import StoredEmbeddings

STAGES = ("embed", "index", "query", "select", "export", "sample")
HARD_PAIRS = "hard-pairs"  # a further stage, after 'export', for those who ask for it
NEEDS_ENCODER = frozenset({"embed", "query"})


def run(
    config: Mapping[str, Any],
    encoder: Encoder | None = None,
    stages: Sequence[str] | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Run stages of the retrieval line in their order.

    Args:
        config: Plain dictionaries, as in ``configs/retrieval``.
        encoder: The model; needed by 'embed' and 'query'.
        stages: Of :data:`STAGES` and 'hard-pairs'; all when None ('sample' and 'hard-pairs' only
            if the config asks for them).
        progress: Whether to show progress bars and say what is done or skipped.

    Returns:
        Per stage its counts, then ``seconds`` and ``skipped``.

    Raises:
        ValueError: If the config, the pool or the concept list is not usable; before long work.
        ManifestError: If another run holds the folder, or files are missing, damaged or made by
            another encoder.
    """
    settings = parse_settings(config)
    wanted = _wanted(settings, stages)
    if encoder is None and NEEDS_ENCODER & set(wanted):
        raise ValueError(f"the stages {sorted(NEEDS_ENCODER & set(wanted))} need an encoder")
    with RunLock(settings.work_dir):
        remove_leftovers(settings.work_dir)
        line = RetrievalPipeline(settings, encoder, progress)
        line.check(wanted)
        for stage in wanted:
            start = time.perf_counter()
            line.results[stage] = getattr(line, stage.replace("-", "_"))()
            line.seconds[stage] = round(time.perf_counter() - start, 3)
    return {**line.results, "seconds": line.seconds, "skipped": line.skipped}


def _wanted(settings: RetrievalSettings, stages: Sequence[str] | None) -> list[str]:
    """The stages to run, in their order."""
    if stages is None:
        wanted = [stage for stage in STAGES if stage != "sample" or settings.sample]
        return wanted + ([HARD_PAIRS] if settings.hard_pairs else [])
    known = (*STAGES, HARD_PAIRS)
    unknown = [stage for stage in stages if stage not in known]
    if unknown or not stages:
        raise ValueError(f"unknown stage(s) {unknown}; known are {', '.join(known)}")
    return [stage for stage in known if stage in stages]


class RetrievalPipeline:
    """The stages over one output folder; :func:`run` is the usual way in.

    Args:
        settings: The checked config.
        encoder: The model, or None when no stage needs it.
        progress: Whether to show progress bars and say what is done or skipped.

    Attributes:
        results: What each stage returned.
        seconds: Seconds per stage.
        skipped: Names of what was found done.
    """

    def __init__(
        self, settings: RetrievalSettings, encoder: Encoder | None, progress: bool = True
    ) -> None:
        self.settings = settings
        self.encoder = encoder
        self.progress = progress
        self.root = Path(settings.work_dir)
        self.results: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}
        self.skipped: list[str] = []
        self._units: list[Unit] | None = None
        self._queries: list[Query] = []
        self._held_out: dict[str, str] | None = None

    def say(self, text: str) -> None:
        """Print a line above the progress bars."""
        if self.progress:
            tqdm.write(text)

    def check(self, stages: Sequence[str]) -> None:
        """Refuse what cannot work before any long work starts.

        Raises:
            ValueError: If the pool, the concepts or the held-out images are not usable.
            ManifestError: If the encoder is not the one of the index that is to be queried.
        """
        if {"index", "query"} & set(stages):
            import_faiss()
        if "query" in stages:
            if self.settings.query is None:
                raise ValueError("the config lacks `query`: give query.concepts")
            query = self.settings.query
            self._queries = make_queries(query.concepts, query.templates, query.synonyms)
            if "index" not in stages and self.encoder is not None:
                check_encoder(load_card(self.root / "index"), self.encoder.identity)
        if "embed" in stages:
            self._units = list_pool(self.settings.pool, self.settings.embed.folder_slice)
            self.say(f"pool: {len(self._units)} parts in {len(self.settings.pool)} source(s)")
        if {"select", "sample"} & set(stages):
            self._held_out = held_out_hashes(self.settings.select.held_out)

    def _start(self, manifest: Manifest) -> bool:
        """Whether a stage has to run; when not, it is noted as skipped."""
        name = manifest.folder.relative_to(self.root).as_posix()
        if manifest.is_current():
            self.skipped.append(name)
            self.say(f"{manifest.stage}: {name} is done and unchanged, skipped")
            return False
        changed = manifest.changes()
        self.say(f"{manifest.stage}: {name}" + (f" ({'; '.join(changed)})" if changed else ""))
        return True

    def embed(self) -> dict[str, Any]:
        """Embed the pool into ``embeddings/``."""
        assert self.encoder is not None and self._units is not None
        folder, before = self.root / "embeddings", None
        if (folder / "manifest.json").is_file():
            before = sha256_file(folder / "manifest.json")
        was_complete = before is not None and Manifest.load(folder).complete
        manifest = embed_pool(self._units, self.encoder, folder, self.settings.embed, self.progress)
        facts = manifest.facts
        if was_complete and before == sha256_file(folder / "manifest.json"):
            self.skipped.append("embeddings")
            self.say("embed: embeddings is done and unchanged, skipped")
        rejected = ", ".join(f"{n} {reason}" for reason, n in facts["rejected"].items()) or "none"
        self.say(f"embed: {facts['read']} read = {facts['kept']} kept + rejected ({rejected})")
        return {name: facts[name] for name in ("read", "kept", "rejected", "rows", "dimension")}

    def index(self) -> dict[str, Any]:
        """Index the embeddings into ``index/``."""
        store = StoredEmbeddings(self.root / "embeddings")
        inputs = {"embeddings": sha256_file(store.folder / "manifest.json")}
        settings = dataclasses.asdict(self.settings.index)
        manifest = Manifest(self.root / "index", "index", settings, inputs)
        if not self._start(manifest):
            return load_card(manifest.folder)
        store.verify()
        card = build_index(store, manifest.folder, self.settings.index, self.progress)
        for name in ("image.index", "text.index", "index.json"):
            manifest.add(manifest.folder / name)
        manifest.save(complete=True)
        return card

    def query(self) -> dict[str, Any]:
        """Search the index with all queries into ``hits/``."""
        assert self.encoder is not None
        card, search = load_card(self.root / "index"), self.settings.search
        check_encoder(card, self.encoder.identity)
        rows = [dataclasses.asdict(query) for query in self._queries]
        settings = {
            "queries": hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
            "modes": list(search.modes),
            "k": search.k,
        }
        inputs = {"index": sha256_file(self.root / "index" / "index.json")}
        manifest = Manifest(self.root / "hits", "query", settings, inputs)
        if not self._start(manifest):
            return manifest.facts
        if search.k > card["rows"]:
            self.say(f"query: k = {search.k}, but the index has {card['rows']} rows; all are given")
        vectors = encode_queries(self._queries, self.encoder)
        identity, batch = self.encoder.identity, search.batch_size
        args = (self._queries, vectors, identity, search.modes, search.k, batch, self.progress)
        hits = search_modes(self.root / "index", *args)
        store = StoredEmbeddings(self.root / "embeddings")
        hit_rows, place = np.unique(hits["row"].to_numpy(), return_inverse=True)
        pairs = store.metadata(hit_rows)
        keys = pairs["key"].take(pa.array(place)).combine_chunks()
        hits = hits.set_column(hits.schema.get_field_index("key"), "key", keys)
        tables = {"hits": hits, "pairs": pairs, "queries": pa.Table.from_pylist(rows)}
        manifest.facts = {"queries": len(rows), "hits": hits.num_rows, "pairs": pairs.num_rows}
        self._write(manifest, tables)
        return manifest.facts

    def _write(self, manifest: Manifest, tables: dict[str, pa.Table]) -> None:
        """Write a stage's tables and complete its manifest."""
        for name, table in tables.items():
            write_parquet(manifest.folder / f"{name}.parquet", table)
            manifest.add(manifest.folder / f"{name}.parquet", table.num_rows)
        manifest.save(complete=True)

    def select(self) -> dict[str, Any]:
        """Apply the rules into ``selected/``."""
        hits = Manifest.load(self.root / "hits")
        hits.verify()
        settings = dataclasses.asdict(self.settings.select)
        settings["held_out"] = self._held_out_digest()
        inputs = {name: hits.files[f"{name}.parquet"]["sha256"] for name in ("hits", "pairs")}
        manifest = Manifest(self.root / "selected", "select", settings, inputs)
        if not self._start(manifest):
            return manifest.facts
        hit_table = read_parquet(hits.folder / "hits.parquet", HIT_SCHEMA)
        pairs = read_parquet(hits.folder / "pairs.parquet", PAIR_SCHEMA)
        held_out = frozenset(self._held_out or {})
        selection = select_pairs(hit_table, pairs, self.settings.select, held_out)
        manifest.facts = {
            "pairs": selection.pairs.num_rows,
            "rules": selection.rules,
            "concepts": selection.concepts,
            "held_out_images": len(held_out),
        }
        write_json(manifest.folder / "selection.json", {**manifest.facts, "settings": settings})
        manifest.add(manifest.folder / "selection.json")
        self._write(manifest, {"selected": selection.pairs})
        self.say(f"select: {selection.pairs.num_rows} pairs of {selection.rules[0]['before']} hit")
        return manifest.facts

    def _held_out_digest(self) -> str:
        """One hash of all held-out images."""
        return hashlib.sha256("\n".join(sorted(self._held_out or {})).encode()).hexdigest()

    def export(self) -> dict[str, Any]:
        """Write the selected pairs into ``retrieved/``."""
        selected = Manifest.load(self.root / "selected")
        selected.verify()
        inputs = {"selected": selected.files["selected.parquet"]["sha256"]}
        inputs["rules"] = selected.files["selection.json"]["sha256"]
        settings = dataclasses.asdict(self.settings.export)
        manifest = Manifest(self.root / "retrieved", "export", settings, inputs)
        if not self._start(manifest):
            return manifest.facts
        choice = read_parquet(selected.folder / "selected.parquet", CHOICE_SCHEMA)
        facts, embedded = selected.facts, Manifest.load(self.root / "embeddings")
        card = {
            "title": "Retrieved set",
            "how": "Text queries against image keys (T2I) and text keys (T2T), then these rules:",
            "rules": facts["rules"],
            "concepts": facts["concepts"],
            **_origin(embedded),
        }
        export_set(choice, manifest, self.settings.export, card, self.progress)
        write_json(manifest.folder / "selection.json", {**facts, "settings": selected.settings})
        manifest.add(manifest.folder / "selection.json")
        report = manifest.folder / "report" / "index.html"
        head = {
            "pairs": choice.num_rows,
            "concepts": len(facts["concepts"]),
            "pool": f"{embedded.facts['kept']} pairs kept of {embedded.facts['read']} read",
            "encoder": card["encoder"],
        }
        order_by = selected.settings["order_by"]
        write_report(report, choice, facts["concepts"], facts["rules"], head, order_by)
        manifest.add(report)
        manifest.facts = {"pairs": choice.num_rows, "folder": str(manifest.folder)}
        manifest.save(complete=True)
        return manifest.facts

    def hard_pairs(self) -> dict[str, Any]:
        """Mine the hard pairs of ``retrieved/`` into ``hard_pairs/``."""
        settings = self.settings.hard_pairs or HardPairSettings()
        manifest, done = mine_retrieved(self.root, settings, self.progress)
        if done:
            self.skipped.append("hard_pairs")
        facts = manifest.facts
        self.say(
            f"{HARD_PAIRS}: {facts['hard_pairs']} for {facts['with_hard_pairs']} of "
            f"{facts['pairs']} pairs{' (done and unchanged, skipped)' if done else ''}"
        )
        return facts

    def sample(self) -> dict[str, Any]:
        """Write random sets of the pool into ``samples/NAME/``."""
        if not self.settings.sample:
            raise ValueError(
                "the config has no `sample`: give e.g. [dict(name='general', number=100)]"
            )
        return {sample.name: self._sample(sample) for sample in self.settings.sample}

    def _sample(self, sample: SampleSettings) -> dict[str, Any]:
        """Write one random set."""
        store = StoredEmbeddings(self.root / "embeddings")
        number = sample.number
        if number == "equal":
            number = int(Manifest.load(self.root / "selected").facts["pairs"])
        excluded = {**(self._held_out or {}), **held_out_hashes(sample.exclude)}
        settings = {
            "number": number,
            "seed": sample.seed,
            "excluded": hashlib.sha256("\n".join(sorted(excluded)).encode()).hexdigest(),
            "exact_duplicates": self.settings.select.exact_duplicates,
            **dataclasses.asdict(self.settings.export),
        }
        inputs = {"embeddings": sha256_file(store.folder / "manifest.json")}
        manifest = Manifest(self.root / "samples" / sample.name, "sample", settings, inputs)
        if not self._start(manifest):
            return manifest.facts
        duplicates = self.settings.select.exact_duplicates
        choice = sample_pairs(store, number, sample.seed, frozenset(excluded), duplicates)
        if choice.num_rows < number:
            self.say(f"sample: {sample.name} has {choice.num_rows} pairs; the pool has no more")
        card = {
            "title": f"Random sample '{sample.name}'",
            "how": f"{choice.num_rows} pairs drawn with seed {sample.seed}; "
            f"{len(excluded)} held-out images passed over.",
            "rules": [],
            "concepts": {},
            **_origin(store.manifest),
        }
        export_set(choice, manifest, self.settings.export, card, self.progress)
        manifest.facts = {"pairs": choice.num_rows, "folder": str(manifest.folder)}
        manifest.save(complete=True)
        return manifest.facts


def _origin(embedded: Manifest) -> dict[str, Any]:
    """Sources and encoder, for the data card."""
    sources = list(dict.fromkeys(unit["source"] for unit in embedded.facts["units"]))
    identity = embedded.facts["encoder"]
    names = ("architecture", "weights_hash", "dimension")
    encoder = ", ".join(f"{name} {identity[name]}" for name in names if name in identity)
    return {"sources": sources, "encoder": encoder or json.dumps(identity)}
