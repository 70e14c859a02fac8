# Control: the recommended recipe on as many pairs drawn from the pool at random.
_base_ = "gated-image_lite_grocery_recommended.py"
control = "work_dirs/real_photos/retrieval/samples/control"
train_dataloader = dict(
    dataset=dict(sources=[dict(path=control), dict(path={{_base_.general}}, role="general")])
)
