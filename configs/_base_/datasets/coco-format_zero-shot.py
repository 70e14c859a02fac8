# Zero-shot on any COCO-format set, and transfer of a trained detector by its vocabulary alone:
# all classes of $MY_DETECTION/annotations/instances_val.json are novel; nothing is trained.
_base_ = ["coco-format_detection.py"]

train_dataloader = None
val_dataloader = None
val_evaluator = None
test_dataloader = dict(dataset=dict(novel="all"))
