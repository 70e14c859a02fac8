# The same by crop-and-encode: each box is cut out of the scene and embedded alone.
_base_ = ["./gt-box_toy-vit_toy.py"]
model = dict(mode="crop")
test_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=True),
            dict(
                type="PackDetInputs",
                meta_keys=("img_id", "img_path", "ori_shape", "img_shape"),
            ),
        ]
    )
)
