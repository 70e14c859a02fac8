# Your images: data/my-images/test/<class>/*.jpg; names, with synonyms, in data/my-images/names.txt.
_base_ = ["../_base_/models/clip-vit-b16_openai.py", "../_base_/default_runtime.py"]
test_dataloader = dict(
    batch_size=64,
    num_workers=4,
    dataset=dict(
        type="react_mm.ZeroShotDataset",
        path="data/my-images/test",
        classes="data/my-images/names.txt",
        complete=True,
        pipeline=[dict(type="react_mm.ResizeCenterCrop", size=224)],
    ),
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
)
test_evaluator = dict(type="react_mm.ZeroShotAccuracy")
test_cfg = dict(type="TestLoop")
