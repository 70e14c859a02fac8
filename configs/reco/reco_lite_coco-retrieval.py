# Recall@k on coco_mini's captions, refined.
_base_ = [
    "../_base_/models/reco_lite.py",
    "../_base_/datasets/coco_mini_retrieval.py",
    "../_base_/default_runtime.py",
]
