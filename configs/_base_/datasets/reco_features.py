# Stored embeddings of pairs and of their neighbours; the file that inherits this names the pairs.
_features = dict(type="react_mm.RecoFeatures", k=10, duplicate_image=0.98)
train_dataloader = dict(
    batch_size=512,
    num_workers=0,
    dataset=dict(part="train", **_features),
    sampler=dict(type="react_mm.PairSampler"),
    collate_fn=dict(type="default_collate"),
)
val_dataloader = dict(
    batch_size=512,
    num_workers=0,
    dataset=dict(part="held-out", **_features),
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
)
del _features
val_evaluator = dict(type="react_mm.RetrievalRecall")
val_cfg = dict(type="ValLoop")
