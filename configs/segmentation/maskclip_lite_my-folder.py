# Your images by names alone, on the offline base (pip install 'react_mm[lite]').
_base_ = ["./maskclip_lite_coco-mini.py"]

custom_imports = dict(
    imports=[
        "react_mm.models.segmentors",
        "react_mm.datasets.segmentation",
        "react_mm.evaluation.segmentation",
        "react_mm.engine",
    ],
    allow_failed_imports=False,
)
data_root = "data/my_images/"
model = dict(logit_scale=40.0, background=dict(threshold=0.3))
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="react_mm.ConceptSegDataset",
        data_root=data_root,
        concepts=data_root + "names.txt",
        img_suffix=".jpg",
        data_prefix=dict(img_path="val/images", seg_map_path="val/masks"),
        test_mode=True,
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="Resize", scale=(2048, 448), keep_ratio=True),
            dict(type="LoadAnnotations"),
            dict(type="PackSegInputs"),
        ],
    )
)
