# Recommended: gates with a learning rate of their own, frozen base as teacher on general images.
_base_ = [
    "../_base_/models/clip_toy.py",
    "../_base_/datasets/toy_pairs.py",
    "../_base_/datasets/toy_zero_shot.py",
    "../_base_/schedules/adamw_small.py",
    "../_base_/default_runtime.py",
]
# Half of the blocks, as the paper has 6 of 12.
model = dict(method="gated-image", method_options=dict(blocks=3, mlp_ratio=4.0), teacher_weight=2.0)
# Read on the validation images of seed 100: tools/reproduce_toy_world.py --settings
train_cfg = dict(max_iters=200, val_interval=200)
