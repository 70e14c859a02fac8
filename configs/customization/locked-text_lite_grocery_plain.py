# The published locked-text recipe on the retrieved pairs: all of the trunk, from pixels.
_base_ = "gated-image_lite_grocery_plain.py"
model = dict(method="locked-text", method_options=dict(_delete_=True))
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="react_mm.PairDataset",
        sources=[dict(path={{_base_.retrieved}})],
        pipeline=[dict(type="react_mm.ResizeCenterCrop", size=160)],
    )
)
optim_wrapper = dict(optimizer=dict(lr=5e-5), paramwise_cfg=dict(_delete_=True))
custom_hooks = [
    dict(type="react_mm.VocabularyHook"),
    dict(type="react_mm.TextCacheHook"),
    dict(type="react_mm.ExportHook"),
]
