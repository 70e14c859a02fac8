# Scenes of the drawn world, as they are (64 to 96 pixels): base classes for training, all for
# testing; the target family is novel.
data_root = "data/toy/"

train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type="react_mm.OpenVocabularyCocoDataset",
        data_root=data_root,
        ann_file="scenes/annotations/instances_train_base.json",
        data_prefix=dict(img="scenes/train/"),
        novel=data_root + "target.txt",
        only_base=True,
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=True),
            dict(type="RandomFlip", prob=0.5),
            dict(type="PackDetInputs"),
        ],
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="react_mm.OpenVocabularyCocoDataset",
        data_root=data_root,
        ann_file="scenes/annotations/instances_val.json",
        data_prefix=dict(img="scenes/val/"),
        novel=data_root + "target.txt",
        test_mode=True,
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=True),
            dict(type="Resize", scale_factor=1.0, keep_ratio=True),
            dict(
                type="PackDetInputs",
                meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
            ),
        ],
    ),
)
test_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="react_mm.OpenVocabularyCocoDataset",
        data_root=data_root,
        ann_file="scenes/annotations/instances_test.json",
        data_prefix=dict(img="scenes/test/"),
        novel=data_root + "target.txt",
        test_mode=True,
        pipeline=val_dataloader["dataset"]["pipeline"],
    ),
)
val_evaluator = dict(
    type="react_mm.OpenVocabularyCocoMetric",
    ann_file=data_root + "scenes/annotations/instances_val.json",
    proposal_nums=(100, 300, 1000),
)
test_evaluator = dict(
    type="react_mm.OpenVocabularyCocoMetric",
    ann_file=data_root + "scenes/annotations/instances_test.json",
    proposal_nums=(100, 300, 1000),
)
