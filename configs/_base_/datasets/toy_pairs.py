# Retrieved pairs and, for the frozen teacher, a general sample of the pool in every batch.
retrieved = "work_dirs/retrieval/toy/retrieved"
general = "work_dirs/retrieval/toy/samples/general"
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    dataset=dict(
        type="react_mm.PairDataset",
        sources=[dict(path=retrieved), dict(path=general, role="general")],
        pipeline=[
            dict(type="react_mm.RandomResizedCrop", size=64, scale=(0.5, 1.0)),
            dict(type="react_mm.RandomHorizontalFlip"),
        ],
    ),
    sampler=dict(type="react_mm.PairSampler", pairs_per_batch=32, general_per_batch=32),
    collate_fn=dict(type="default_collate"),
)
