# Pairs retrieved for the grocery names and a general sample of the pool for the frozen teacher.
# The trunk below the gates is frozen: its tokens are stored once (no augmentation).
# Without the store: dataset type react_mm.PairDataset, and no PrefixCacheHook.
retrieved = "work_dirs/real_photos/retrieval/retrieved"
general = "work_dirs/real_photos/retrieval/samples/general"
prefix_cache = "work_dirs/real_photos/prefix"
train_dataloader = dict(
    batch_size=96,
    num_workers=0,
    dataset=dict(
        type="react_mm.CachedPairDataset",
        prefix_cache=prefix_cache,
        sources=[dict(path=retrieved), dict(path=general, role="general")],
        pipeline=[dict(type="react_mm.ResizeCenterCrop", size=160)],
    ),
    sampler=dict(type="react_mm.PairSampler", pairs_per_batch=64, general_per_batch=32),
    collate_fn=dict(type="default_collate"),
)
