# Recommended: a gated block with a learning rate of its own, the frozen base as teacher.
# Needs tools/retrieve.py run configs/retrieval/real_photos_lite.py, and REACT_MM_DATA.
_base_ = [
    "../_base_/models/lite.py",
    "../_base_/datasets/grocery_pairs.py",
    "../_base_/datasets/grocery_zero_shot.py",
    "../_base_/schedules/adamw_small.py",
    "../_base_/default_runtime.py",
]
model = dict(method="gated-image", method_options=dict(blocks=1, mlp_ratio=1.0), teacher_weight=5.0)
optim_wrapper = dict(type="react_mm.AutocastOptimWrapper")
custom_hooks = [
    dict(type="react_mm.VocabularyHook"),
    dict(type="react_mm.TextCacheHook"),
    dict(type="react_mm.PrefixCacheHook"),
    dict(type="react_mm.ExportHook"),
]
