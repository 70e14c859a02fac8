# Given proposals of the drawn world, named by the tower alone. The detections of a trained detector
# will do, each box once: python tools/test.py configs/detection/fvlm_toy-vit_fpn_toy.py CHECKPOINT
# --cfg-options test_evaluator.outfile_prefix=work_dirs/toy-proposals/test
_base_ = ["../_base_/datasets/toy_detection.py", "../_base_/models/proposals.py"]
proposal_file = "work_dirs/toy-proposals/test.bbox.json"

toy = dict(arch="toy-vit", pretrained="drawn-world")
model = dict(
    class_embedder=dict(text_tower=toy, templates="drawn"),
    backbone=dict(**toy, dense_mode="local"),
)
train_dataloader = None
val_dataloader = None
val_evaluator = None
# Scenes at twice their size: objects are then as large as those the base was trained on.
test_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="Resize", scale_factor=2.0, keep_ratio=True),
            dict(type="react_mm.LoadProposals", proposal_file=proposal_file, allow_missing=True),
            dict(
                type="PackDetInputs",
                meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
            ),
        ]
    )
)
