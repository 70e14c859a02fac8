"""Plants one-line faults in a copy of the code and shows that each makes a test fail.

    python tests/planted_faults.py            # all, about 10 minutes on 2 cores
    python tests/planted_faults.py --only 3 7 --markdown

The table of docs/testing.md is what ``--markdown`` prints.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Fault(NamedTuple):
    """A line, what it becomes, and where a test must notice."""

    what: str
    file: str
    old: str
    new: str
    tests: str


FAULTS = [
    Fault(
        "the attention gate without its tanh",
        "react_mm/models/layers/gated_attention.py",
        "x = x + self.gate_scale * self.alpha_attn.tanh() * y",
        "x = x + self.gate_scale * self.alpha_attn * y",
        "tests/test_models/test_gated_attention.py",
    ),
    Fault(
        "InfoNCE takes image to text twice (an axis)",
        "react_mm/models/losses/contrastive.py",
        "to_image = logit_scale * text @ all_image.T",
        "to_image = logit_scale * image @ all_text.T",
        "tests/test_models/test_losses.py",
    ),
    Fault(
        "class similarity of embeddings that are not normalised",
        "react_mm/models/open_vocabulary.py",
        "rows = F.normalize(embeddings, dim=-1) @",
        "rows = embeddings @",
        "tests/test_models",
    ),
    Fault(
        "InfoNCE on the general images, the teacher on the pairs (a sign)",
        "react_mm/models/clip.py",
        "return role == PAIR",
        "return role != PAIR",
        "tests/test_models/test_clip.py",
    ),
    Fault(
        "the teacher with its gates left open",
        "react_mm/models/clip.py",
        "self.image_tower.set_gate_scale(0.0)",
        "self.image_tower.set_gate_scale(scale)",
        "tests/test_models/test_clip.py",
    ),
    Fault(
        "padding is visible to attention",
        "react_mm/models/backbones/clip_vit.py",
        'mask = mask.masked_fill(~keys, float("-inf"))[:, None, None, :]',
        "mask = mask[:, None, None, :]",
        "tests/test_models/test_backbones",
    ),
    Fault(
        "positions of the batch's grid instead of the image's own",
        "react_mm/models/backbones/clip_vit.py",
        'cells.float(), size=own, mode="bicubic"',
        'cells.float(), size=grid, mode="bicubic"',
        "tests/test_models/test_backbones",
    ),
    Fault(
        "base and novel weights of the score combiner exchanged",
        "react_mm/models/score_combiner.py",
        "self.base if name in known else self.novel",
        "self.novel if name in known else self.base",
        "tests/test_models/test_score_combiner.py tests/test_models/test_detectors",
    ),
    Fault(
        "the run lock is not taken",
        "react_mm/manifest.py",
        "fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        "tests/test_manifest.py",
    ),
    Fault(
        "held-out images are not left out",
        "react_mm/retrieval/selection.py",
        "left = left[[sha[i] not in held_out for i in left]] if before else left",
        "left = left[[True for i in left]] if before else left",
        "tests/test_retrieval/test_selection.py",
    ),
    Fault(
        "search returns the farthest of its candidates (a sign)",
        "react_mm/retrieval/search.py",
        "order = np.lexsort((rows[slot][there], -exact))[:k]",
        "order = np.lexsort((rows[slot][there], exact))[:k]",
        "tests/test_retrieval/test_search.py",
    ),
    Fault(
        "a resumed sampler starts from the beginning",
        "react_mm/engine/samplers.py",
        "self.position = num_samples",
        "self.position = 0",
        "tests/test_engine/test_samplers.py",
    ),
    Fault(
        "augmentation does not depend on the epoch",
        "react_mm/datasets/pairs.py",
        "with seeded(self.seed, epoch, index):",
        "with seeded(self.seed, index):",
        "tests/test_datasets/test_pairs.py",
    ),
    Fault(
        "nms ignores offset=1",
        "react_mm/ops/mmcv_ext.py",
        "    if offset:",
        "    if False:",
        "tests/test_ops",
    ),
    Fault(
        "a delta is put on any base",
        "react_mm/models/customization.py",
        'if card["base"]["image_hash"] != have:',
        "if False:",
        "tests/test_models/test_customization.py",
    ),
]


def run(fault: Fault) -> list[str]:
    """Plants a fault in a copy and returns the ids of the tests that fail.

    Raises:
        ValueError: If the line is not in the file exactly once.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        skip = shutil.ignore_patterns("__pycache__", ".mim")
        for name in ("react_mm", "tests", "configs", "tools"):
            shutil.copytree(ROOT / name, copy / name, ignore=skip)
        for name in ("pyproject.toml", "setup.py", "README.md"):
            shutil.copy(ROOT / name, copy / name)
        path = copy / fault.file
        text = path.read_text(encoding="utf-8")
        if text.count(fault.old) != 1:
            raise ValueError(f"{fault.file}: {text.count(fault.old)} times {fault.old!r}, not once")
        path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow"]
        done = subprocess.run(
            [*command, *fault.tests.split()],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
    failed = re.findall(r"^FAILED (\S+)", done.stdout, re.MULTILINE)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return [re.sub(r"\[.*", "", name) for name in failed]


def main() -> int:
    """Plants the faults one after another; exit code 1 if one goes unnoticed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=int, nargs="+", help="numbers of faults, from 1")
    parser.add_argument("--markdown", action="store_true", help="rows for docs/testing.md")
    args = parser.parse_args()
    unnoticed = 0
    for number, fault in enumerate(FAULTS, 1):
        if args.only and number not in args.only:
            continue
        failed = list(dict.fromkeys(run(fault)))
        unnoticed += not failed
        names = [f"`{name.rpartition('::')[2]}`" for name in failed]
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        if args.markdown:
            print(f"| {number} | `{fault.file}` | {fault.what} | {shown or 'NONE'} |", flush=True)
        else:
            print(f"{number}. {fault.what}: {shown or 'UNNOTICED'}", flush=True)
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
