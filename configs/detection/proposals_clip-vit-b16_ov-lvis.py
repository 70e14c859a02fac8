# Given proposals named among the 1,203 classes of LVIS v1 (337 rare, novel ones), by RoI on the
# dense embedding; score = sqrt(class x objectness). Another file: --cfg-options proposal_file=F
_base_ = ["../_base_/datasets/ov-lvis_detection.py", "../_base_/models/proposals.py"]
proposal_file = "data/lvis_v1/proposals/rpn_lvis_v1_val.npz"

train_dataloader = None
val_dataloader = None
val_evaluator = None
model = dict(max_per_img=300)
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
