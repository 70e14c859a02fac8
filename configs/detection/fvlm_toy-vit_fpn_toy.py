# F-VLM on the drawn world: trained on the base families, tested on all.
_base_ = [
    "../_base_/models/fvlm_toy.py",
    "../_base_/datasets/toy_detection.py",
    "../_base_/schedules/toy_detection.py",
]
