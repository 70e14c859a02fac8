# The tiny CLIP of the drawn world from random weights; python -m react_mm.toy.pretrain does it all.
custom_imports = dict(imports=["react_mm.toy.patch_dropout_hook"], allow_failed_imports=False)
pairs = "data/toy/base"
iterations, decay = 2200, 700  # constant rate, then a linear decay over the last iterations
model = dict(
    type="react_mm.CLIP",
    image_tower=dict(type="react_mm.CLIPViT", arch="toy-vit", frozen=False),
    text_tower=dict(type="react_mm.CLIPText", arch="toy-vit"),
    method="full",
    templates="drawn",
)
train_dataloader = dict(
    batch_size=128,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type="react_mm.PairSampler", seed=0),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="react_mm.PairDataset",
        sources=[dict(path=pairs)],
        pipeline=[
            dict(type="react_mm.RandomResizedCrop", size=64, scale=(0.75, 1.0), ratio=(0.9, 1.1)),
            dict(type="react_mm.RandomHorizontalFlip"),
        ],
    ),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations)
optim_wrapper = dict(
    type="react_mm.AutocastOptimWrapper",
    constructor="react_mm.CustomizationOptimConstructor",
    optimizer=dict(
        type="AdamW", lr=8e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.05, fused=True
    ),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, end=100),
    dict(
        type="LinearLR",
        start_factor=1.0,
        end_factor=0.01,
        by_epoch=False,
        begin=iterations - decay,
        end=iterations,
    ),
]
custom_hooks = [dict(type="react_mm.PatchDropoutHook", prob=0.5, until=iterations - decay)]
default_hooks = dict(
    checkpoint=dict(
        type="react_mm.SafeCheckpointHook", by_epoch=False, interval=250, max_keep_ckpts=1
    ),
    logger=dict(type="LoggerHook", interval=50),
)
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
default_scope = "mmengine"
