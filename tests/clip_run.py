"""A config of CLIP on a tiny base for runs as processes: killed, resumed, or two at once."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.pair_shards import write_shard
from tests.tiny import write_architecture, write_weights

CONFIG = """
custom_imports = dict(imports=['resume_toy', 'react_mm.registry'])
default_scope = 'mmengine'
model = {model}
train_dataloader = dict(
    batch_size={pairs} + {general}, num_workers=0,
    dataset=dict(type='react_mm.PairDataset', seed=3, text=['caption', 'concept'],
        sources=[dict(path='{folder}/pairs.tar', concept='parity'),
                 dict(path='{folder}/general.tar', role='general')],
        pipeline=[dict(type='react_mm.RandomResizedCrop', size=32)]),
    sampler=dict(type='react_mm.PairSampler', pairs_per_batch={pairs},
        general_per_batch={general}, hard_pairs={hard}),
    collate_fn=dict(type='default_collate'))
train_cfg = dict(type='IterBasedTrainLoop', max_iters={iters}, val_interval=10**9)
optim_wrapper = dict(type='OptimWrapper', constructor='react_mm.CustomizationOptimConstructor',
    optimizer=dict(type='{optimizer}', lr={lr}), paramwise_cfg=dict(gate_lr={gate_lr}))
default_hooks = dict(
    checkpoint=dict(type='react_mm.SafeCheckpointHook', interval={interval}, by_epoch=False,
        max_keep_ckpts=1),
    logger=dict(type='LoggerHook', interval=1000))
custom_hooks = [dict(type='LossLog'), dict(type='react_mm.TextCacheHook'),
    dict(type='react_mm.TrainableEMAHook', decay=0.5, warmup=False),
    dict(type='react_mm.ExportHook')]
randomness = dict(seed=5)
"""


def write_data(folder: Path) -> Path:
    """A tiny base, 19 pairs with hard pairs, 7 general images."""
    arch = write_architecture(folder)
    write_weights(arch, folder / "base.safetensors")
    write_shard(folder / "pairs.tar", 19)
    write_shard(folder / "general.tar", 7, first=40)
    hard = [[(i + 1) % 19, (i + 4) % 19] for i in range(19)]
    names = [f"pairs/k{i:03d}" for i in range(19)]
    pq.write_table(pa.table({"pair": names, "hard": hard}), folder / "hard_pairs.parquet")
    return folder


def write_config(path: Path, folder: Path, model: dict, hard: bool = True, **options) -> Path:
    """Writes the config; ``model`` is added to the towers of the tiny base."""
    tower = dict(arch=str(folder / "tiny.json"), checkpoint=str(folder / "base.safetensors"))
    model = dict(model)
    towers = dict(
        type="react_mm.CLIP",
        image_tower=dict(type="react_mm.CLIPViT", with_cp=model.pop("with_cp", False), **tower),
        text_tower=dict(type="react_mm.CLIPText", **tower),
    )
    values = dict(pairs=4, general=2, iters=6, interval=3, optimizer="AdamW", lr=1e-3, gate_lr=0.05)
    values |= dict(folder=folder, hard=repr(str(folder)) if hard else None, model=towers | model)
    path.write_text(CONFIG.format(**{**values, **options}))
    return path
