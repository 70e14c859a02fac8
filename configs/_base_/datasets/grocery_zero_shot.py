# Grocery photos by their 43 coarse names: validation chooses, test is opened once.
_base_ = ["../concepts/grocery.py", "photo_zero_shot.py"]
_photos = dict(
    path="{{$REACT_MM_DATA:data/photos}}/grocery", label_field="coarse", classes={{_base_.classes}}
)
val_dataloader = dict(dataset=dict(where=dict(split="val"), **_photos))
test_dataloader = dict(dataset=dict(where=dict(split="test"), **_photos))
del _photos
