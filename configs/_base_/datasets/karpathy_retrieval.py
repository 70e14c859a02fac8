# Captioned images in one of Karpathy's splits; a child names folder and file. Five captions each.
test_dataloader = dict(
    batch_size=64,
    num_workers=4,
    dataset=dict(
        type="react_mm.RetrievalDataset",
        where=dict(split="test"),
        max_captions=5,
        pipeline=[dict(type="react_mm.ResizeCenterCrop", size=224)],
    ),
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
)
test_evaluator = dict(type="react_mm.RetrievalRecall")
test_cfg = dict(type="TestLoop")
