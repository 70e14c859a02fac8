# Your own images and label maps, train/ and val/.
_base_ = ["./seg_my-folder.py"]

data_root = "data/my_images/"
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type="react_mm.ConceptSegDataset",
        data_root=data_root,
        concepts=data_root + "names.txt",
        only_base=True,
        img_suffix=".jpg",
        data_prefix=dict(img_path="train/images", seg_map_path="train/masks"),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations"),
            dict(type="RandomResize", scale=(2048, 336), ratio_range=(1.0, 2.0), keep_ratio=True),
            dict(type="RandomCrop", crop_size=(336, 336), cat_max_ratio=0.95),
            dict(type="RandomFlip", prob=0.5),
            dict(type="PackSegInputs"),
        ],
    ),
)
val_dataloader = _base_.test_dataloader
val_evaluator = _base_.test_evaluator
