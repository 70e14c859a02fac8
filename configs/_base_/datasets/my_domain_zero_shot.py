# Labelled photos of your own: $MY_PHOTOS/pairs.jsonl with `image`, `label` and `split`
# (train, validation, test), names in $MY_NAMES, one a line.
_base_ = "photo_zero_shot.py"
_photos = dict(
    path="{{$MY_PHOTOS:data/my-photos}}",
    label_field="label",
    classes="{{$MY_NAMES:data/my-names.txt}}",
)
val_dataloader = dict(dataset=dict(where=dict(split="validation"), **_photos))
test_dataloader = dict(dataset=dict(where=dict(split="test"), **_photos))
del _photos
