# Training on scenes of the drawn world: pixels of the target family are ignored.
_base_ = ["./toy_segmentation.py"]

data_root = "data/toy/"
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type="react_mm.ConceptSegDataset",
        data_root=data_root,
        concepts=data_root + "concepts.txt",
        metainfo=dict(synonyms={}),
        novel=data_root + "target.txt",
        only_base=True,
        data_prefix=dict(img_path="scenes/train", seg_map_path="scenes/semantic/train"),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations"),
            dict(type="Resize", scale_factor=2.0, keep_ratio=True),
            dict(type="RandomFlip", prob=0.5),
            dict(type="PackSegInputs"),
        ],
    ),
)
