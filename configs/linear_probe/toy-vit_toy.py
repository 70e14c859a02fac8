# The drawn world: heads learn from the validation images (a fifth of them chooses the pull).
_base_ = "../zero_shot_classification/toy-vit_toy.py"
test_cfg = dict(
    type="react_mm.LinearProbeLoop",
    train_dataset=dict(path="data/toy/classification/val"),
    shots=(1, 5, 10, "all"),
    seeds=(0, 1, 2),
)
