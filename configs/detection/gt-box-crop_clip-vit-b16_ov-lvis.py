# The same by crop-and-encode: each box is cut out of the image and embedded alone.
_base_ = ["./gt-box_clip-vit-b16_ov-lvis.py"]
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
