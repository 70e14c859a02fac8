# MaskCLIP's last block on the drawn world, to compare with local_toy-vit_toy.py.
_base_ = ["local_toy-vit_toy.py"]

model = dict(backbone=dict(dense_mode="maskclip"))
