# Beside the pairs: crops teach the dense embedding (region self-distillation at twice the size).
_base_ = "gated-image_lite_grocery_no-teacher.py"
model = dict(
    regularizers=[
        dict(
            type="react_mm.RegionDistillation",
            weight=1.0,
            images="pairs",
            images_per_batch=8,
            boxes_per_image=10,
        )
    ]
)
train_dataloader = dict(dataset=dict(type="react_mm.DenseCachedPairDataset", dense_size=320))
