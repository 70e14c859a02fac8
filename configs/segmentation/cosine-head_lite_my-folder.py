# A head trained on your images and label maps, on the offline base (pip install 'react_mm[lite]').
_base_ = ["./cosine-head_clip-vit-b16_my-folder.py"]

custom_imports = dict(
    imports=[
        "react_mm.models.segmentors",
        "react_mm.datasets.segmentation",
        "react_mm.evaluation.segmentation",
        "react_mm.engine",
    ],
    allow_failed_imports=False,
)
model = dict(
    class_embedder=dict(text_tower=dict(_delete_=True, type="react_mm.LiteText")),
    backbone=dict(_delete_=True, type="react_mm.LiteImageTower"),
    decode_head=dict(embed_dim=384, channels=128),
    data_preprocessor=dict(mean=[127.0] * 3, std=[128.0] * 3),
    test_cfg=dict(_delete_=True, mode="whole"),
)
optim_wrapper = dict(type="OptimWrapper")
train_cfg = dict(max_iters=600, val_interval=300)
