# Recall@k on the captions of coco_mini's validation photos: what customization may forget.
_base_ = [
    "../_base_/models/lite.py",
    "../_base_/datasets/coco_mini_retrieval.py",
    "../_base_/default_runtime.py",
]
