# Clothing test photos by 10 names, refined.
_base_ = [
    "../_base_/models/reco_lite.py",
    "../_base_/datasets/clothing_zero_shot.py",
    "../_base_/default_runtime.py",
]
