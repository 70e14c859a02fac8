# Image-text retrieval on pairs of the drawn world: what customization may forget.
_base_ = ["../_base_/models/clip_toy.py", "../_base_/default_runtime.py"]
test_dataloader = dict(
    batch_size=100,
    num_workers=0,
    dataset=dict(
        type="react_mm.RetrievalDataset",
        path="data/toy/base/base-000000.tar",
        max_images=500,
        pipeline=[dict(type="react_mm.ResizeCenterCrop", size=64)],
    ),
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
)
test_evaluator = dict(type="react_mm.RetrievalRecall")
test_cfg = dict(type="TestLoop")
