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
_scenes = dict(
    type="react_mm.OpenVocabularyCocoDataset",
    data_root=data_root,
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
)
_loader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
)
_val = dict(ann_file="scenes/annotations/instances_val.json", data_prefix=dict(img="scenes/val/"))
_test = dict(
    ann_file="scenes/annotations/instances_test.json", data_prefix=dict(img="scenes/test/")
)
val_dataloader = dict(dataset=dict(**_val, **_scenes), **_loader)
test_dataloader = dict(dataset=dict(**_test, **_scenes), **_loader)
_metric = dict(type="react_mm.OpenVocabularyCocoMetric", proposal_nums=(100, 300, 1000))
val_evaluator = dict(ann_file=data_root + _val["ann_file"], **_metric)
test_evaluator = dict(ann_file=data_root + _test["ann_file"], **_metric)
del _scenes, _loader, _val, _test, _metric
