# The recommended recipe on pairs about OV-COCO's novel classes. Not trained here: the settings are
# those that were chosen for smaller towers; read gate scale and length from validation data.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/schedules/adamw_small.py",
    "../_base_/default_runtime.py",
]
retrieved = "work_dirs/retrieval/ov-coco/retrieved"
general = "work_dirs/retrieval/ov-coco/samples/general"
model = dict(method="gated-image", method_options=dict(blocks=6, mlp_ratio=4.0), teacher_weight=2.0)
train_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    dataset=dict(
        type="react_mm.PairDataset",
        sources=[dict(path=retrieved), dict(path=general, role="general")],
        pipeline=[
            dict(type="react_mm.RandomResizedCrop", size=224, scale=(0.5, 1.0)),
            dict(type="react_mm.RandomHorizontalFlip"),
        ],
    ),
    sampler=dict(type="react_mm.PairSampler", pairs_per_batch=128, general_per_batch=128),
    collate_fn=dict(type="default_collate"),
)
optim_wrapper = dict(type="react_mm.MixedPrecisionOptimWrapper")
