# The recommended recipe and region self-distillation at one and a half times the size.
_base_ = "gated-image_toy-vit_toy_recommended.py"
model = dict(
    regularizers=[
        dict(
            type="react_mm.RegionDistillation",
            weight=1.0,
            images="both",
            images_per_batch=16,
            grid=3,
            boxes_per_image=9,
        )
    ]
)
train_dataloader = dict(dataset=dict(type="react_mm.DensePairDataset", dense_size=96))
