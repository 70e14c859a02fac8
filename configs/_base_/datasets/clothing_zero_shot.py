# Clothing photos by their 10 names: validation chooses, test is opened once.
_base_ = ["../concepts/clothing.py", "photo_zero_shot.py"]
_photos = dict(
    path="{{$REACT_MM_DATA:data/photos}}/clothing", label_field="label", classes={{_base_.classes}}
)
val_dataloader = dict(dataset=dict(where=dict(split="validation"), **_photos))
test_dataloader = dict(dataset=dict(where=dict(split="test"), **_photos))
del _photos
