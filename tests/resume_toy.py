"""A model and a config for runs that are killed and resumed: small, with dropout, no tower."""

import os
import time
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import HOOKS, MODELS
from torch import nn

DROPOUT = float(os.environ.get("REACT_MM_TEST_DROPOUT", "0.3"))
CONFIG = """
custom_imports = dict(imports=['resume_toy'])
default_scope = 'mmengine'
model = dict(type='ResumeToy')
train_dataloader = dict(
    batch_size={pairs} + {general}, num_workers={workers}, persistent_workers={workers} > 0,
    dataset=dict(type='react_mm.PairDataset', seed=3,
        sources=[dict(path='{shards}/p-*.tar'), dict(path='{shards}/g-0.tar', role='general')],
        pipeline=[dict(type='react_mm.RandomResizedCrop', size=16),
                  dict(type='react_mm.RandomHorizontalFlip')]),
    sampler=dict(type='react_mm.PairSampler', pairs_per_batch={pairs},
        general_per_batch={general}),
    collate_fn=dict(type='default_collate'))
train_cfg = dict(type='IterBasedTrainLoop', max_iters={iters}, val_interval=10**9)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-2))
param_scheduler = [dict(type='CosineAnnealingLR', T_max={iters}, end={iters}, by_epoch=False)]
default_hooks = dict(
    checkpoint=dict(type='react_mm.SafeCheckpointHook', interval={interval}, by_epoch=False,
        max_keep_ckpts={keep}),
    logger=dict(type='LoggerHook', interval=1000))
custom_hooks = [dict(type='LossLog')]
randomness = dict(seed=5)
"""


@MODELS.register_module()
class ResumeToy(BaseModel):
    """Two linear layers with dropout; ``REACT_MM_TEST_PADDING`` MB of ballast slow each save."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3 * 16 * 16, 8), nn.Dropout(DROPOUT), nn.Linear(8, 1))
        ballast = int(float(os.environ.get("REACT_MM_TEST_PADDING", "0")) * (1 << 18))
        self.register_buffer("ballast", torch.zeros(ballast))

    def forward(self, inputs, mode="loss", role=None, **_):
        """Squared error to the role plus a constant."""
        out = self.net(inputs.flatten(1).float() / 255)[:, 0]
        return {"loss": ((out - role.float() - 0.3) ** 2).mean()}


@HOOKS.register_module()
class LossLog(Hook):
    """Appends ``iteration loss keys`` to losses.txt; may slow the steps down."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Writes one line per step."""
        rank = os.environ.get("RANK", "0")
        name = "losses.txt" if rank == "0" else f"losses{rank}.txt"
        with open(Path(runner.work_dir) / name, "a") as file:
            keys = ",".join(data_batch["key"])
            file.write(f"{runner.iter} {outputs['loss'].item():.17g} {keys}\n")
        time.sleep(float(os.environ.get("REACT_MM_TEST_SLEEP", "0")))
