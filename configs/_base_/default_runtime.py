custom_imports = dict(imports=["react_mm.registry"])
default_scope = "mmengine"
default_hooks = dict(
    runtime_info=dict(type="RuntimeInfoHook"),
    timer=dict(type="IterTimerHook"),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    logger=dict(type="LoggerHook", interval=20),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(
        type="react_mm.SafeCheckpointHook", interval=100, by_epoch=False, max_keep_ckpts=1
    ),
)
custom_hooks = [
    dict(type="react_mm.VocabularyHook"),
    dict(type="react_mm.TextCacheHook"),
    dict(type="react_mm.ExportHook"),
]
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
log_processor = dict(type="LogProcessor", window_size=20, by_epoch=False)
visualizer = dict(type="Visualizer", vis_backends=[dict(type="LocalVisBackend")])
randomness = dict(seed=0)
log_level = "INFO"
load_from = None
resume = False
