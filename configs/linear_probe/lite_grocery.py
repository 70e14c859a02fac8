# Grocery photos: heads learn from train, validation chooses the pull, test is opened once.
_base_ = "../zero_shot_classification/lite_grocery.py"
test_cfg = dict(
    type="react_mm.LinearProbeLoop",
    train_dataset=dict(where=dict(split="train")),
    val_dataset=dict(where=dict(split="val")),
    shots=(1, 5, 10, "all"),
    seeds=(0, 1, 2),
)
