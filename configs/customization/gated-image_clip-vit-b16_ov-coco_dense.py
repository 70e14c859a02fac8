# The same, and region self-distillation at twice the size, as F-ViT's input asks for. Not trained
# here.
_base_ = "gated-image_clip-vit-b16_ov-coco.py"
model = dict(
    regularizers=[
        dict(type="react_mm.RegionDistillation", weight=1.0, images="both", images_per_batch=16)
    ]
)
train_dataloader = dict(dataset=dict(type="react_mm.DensePairDataset", dense_size=448))
