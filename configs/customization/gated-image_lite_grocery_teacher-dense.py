# The recommended recipe, the teacher on cells too, and region self-distillation.
_base_ = "gated-image_lite_grocery_recommended.py"
model = dict(
    teacher_weight=0.0,
    regularizers=[
        dict(type="react_mm.FrozenTeacher", weight=5.0, dense_weight=5.0),
        dict(
            type="react_mm.RegionDistillation",
            weight=1.0,
            images="both",
            images_per_batch=8,
            boxes_per_image=10,
        ),
    ],
)
train_dataloader = dict(dataset=dict(type="react_mm.DenseCachedPairDataset", dense_size=320))
