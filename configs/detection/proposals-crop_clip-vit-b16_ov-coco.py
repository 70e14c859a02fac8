# The same by crop-and-encode: each proposal is cut out of the image and embedded alone.
_base_ = ["./proposals_clip-vit-b16_ov-coco.py"]
model = dict(mode="crop")
test_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="react_mm.LoadProposals", proposal_file={{_base_.proposal_file}}),
            dict(
                type="PackDetInputs",
                meta_keys=("img_id", "img_path", "ori_shape", "img_shape"),
            ),
        ]
    )
)
