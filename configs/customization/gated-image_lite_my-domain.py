# The recommended recipe on what configs/retrieval/my-domain_lite.py found.
_base_ = [
    "../_base_/models/lite.py",
    "../_base_/datasets/grocery_pairs.py",
    "../_base_/datasets/my_domain_zero_shot.py",
    "../_base_/schedules/adamw_small.py",
    "../_base_/default_runtime.py",
]
model = dict(method="gated-image", method_options=dict(blocks=1, mlp_ratio=1.0), teacher_weight=5.0)
retrieved = "work_dirs/my-domain/retrieval/retrieved"
general = "work_dirs/my-domain/retrieval/samples/general"
prefix_cache = "work_dirs/my-domain/prefix"
train_dataloader = dict(
    dataset=dict(
        prefix_cache=prefix_cache,
        sources=[dict(path=retrieved), dict(path=general, role="general")],
    )
)
optim_wrapper = dict(type="react_mm.AutocastOptimWrapper")
train_cfg = dict(max_iters=150, val_interval=150)
custom_hooks = [
    dict(type="react_mm.VocabularyHook"),
    dict(type="react_mm.TextCacheHook"),
    dict(type="react_mm.PrefixCacheHook"),
    dict(type="react_mm.ExportHook"),
]
