# mmdet's 12 epochs with AdamW, as F-ViT sets it; checkpoints that survive a kill.
_base_ = ["mmdet::_base_/schedules/schedule_1x.py", "mmdet::_base_/default_runtime.py"]

optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-4, weight_decay=0.1),
    clip_grad=dict(max_norm=1.0),
)
default_hooks = dict(
    checkpoint=dict(type="react_mm.SafeCheckpointHook", interval=1, max_keep_ckpts=2)
)
