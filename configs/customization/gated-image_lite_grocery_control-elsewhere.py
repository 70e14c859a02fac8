# Control: as many random pairs of the pool as were retrieved, none of them from the grocery folder.
_base_ = "gated-image_lite_grocery_recommended.py"
control = "work_dirs/real_photos/retrieval/samples/control-elsewhere"
train_dataloader = dict(
    dataset=dict(sources=[dict(path=control), dict(path={{_base_.general}}, role="general")])
)
