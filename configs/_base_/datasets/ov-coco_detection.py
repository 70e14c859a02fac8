# OV-COCO: 48 base classes for training, 48 + 17 for testing (generalised setting).
# The two annotation files are written by tools/convert_ov_dataset.py.
_base_ = ["mmdet::_base_/datasets/coco_detection.py"]

train_dataloader = dict(
    dataset=dict(
        type="react_mm.OpenVocabularyCocoDataset",
        novel="ov-coco",
        only_base=True,
        ann_file="annotations/instances_train2017_base.json",
    )
)
val_dataloader = dict(
    dataset=dict(
        type="react_mm.OpenVocabularyCocoDataset",
        novel="ov-coco",
        ann_file="annotations/instances_val2017_base-novel.json",
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type="react_mm.OpenVocabularyCocoMetric",
    ann_file="data/coco/annotations/instances_val2017_base-novel.json",
    proposal_nums=(100, 300, 1000),
)
test_evaluator = val_evaluator
