# Label maps of the drawn world's scenes: background and the concepts; the target family is novel.
data_root = "data/toy/"

test_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="react_mm.ConceptSegDataset",
        data_root=data_root,
        concepts=data_root + "concepts.txt",
        metainfo=dict(synonyms={}),  # by name alone, as in all tasks of the drawn world
        novel=data_root + "target.txt",
        data_prefix=dict(img_path="scenes/test", seg_map_path="scenes/semantic/test"),
        test_mode=True,
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations"),
            dict(type="PackSegInputs"),
        ],
    ),
)
test_evaluator = dict(type="react_mm.SegmentationIoU")
