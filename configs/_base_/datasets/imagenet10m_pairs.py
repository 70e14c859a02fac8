# REACT's retrieved set for ImageNet as img2dataset writes it (react_imagenet_10m, 384 px shards).
retrieved = "data/imagenet_10m"
train_dataloader = dict(
    batch_size=512,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    dataset=dict(
        type="react_mm.PairDataset",
        sources=[dict(path=retrieved)],
        pipeline=[dict(type="react_mm.TimmAugment", size=224)],
    ),
    sampler=dict(type="react_mm.PairSampler"),
    collate_fn=dict(type="default_collate"),
)
