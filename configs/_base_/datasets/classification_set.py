# A public classification set in the user's folder: PATH/SPLIT/<class>/*.jpg, or PATH/SPLIT.txt
# with `image<TAB>class` per line. A child names the set.
test_dataloader = dict(
    batch_size=128,
    num_workers=4,
    dataset=dict(
        type="react_mm.ClassificationSetDataset",
        pipeline=[dict(type="react_mm.ResizeCenterCrop", size=224)],
    ),
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
)
test_evaluator = dict(type="react_mm.ZeroShotAccuracy")
test_cfg = dict(type="TestLoop")
