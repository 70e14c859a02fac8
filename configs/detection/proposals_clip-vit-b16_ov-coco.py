# Given proposals named among the 65 classes of OV-COCO (48 base, 17 novel), by RoI on the
# dense embedding; score = sqrt(class x objectness). Another file: --cfg-options proposal_file=F
_base_ = ["../_base_/datasets/ov-coco_detection.py", "../_base_/models/proposals.py"]
proposal_file = "data/coco/proposals/rpn_val2017.npz"

train_dataloader = None
val_dataloader = None
val_evaluator = None
test_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="Resize", scale=(1333, 800), keep_ratio=True),
            dict(type="react_mm.LoadProposals", proposal_file=proposal_file),
            dict(
                type="PackDetInputs",
                meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
            ),
        ]
    )
)
