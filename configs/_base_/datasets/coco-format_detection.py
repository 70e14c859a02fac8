# A COCO-format folder of your own, $MY_DETECTION:
#   annotations/instances_train.json, annotations/instances_val.json, train/, val/
# All its classes are base classes, unless `novel` names some (a list or a file; the training file
# is then made by tools/convert_ov_dataset.py and read with only_base=True).
_base_ = ["mmdet::_base_/datasets/coco_detection.py"]
data_root = "{{$MY_DETECTION:data/my-detection}}/"

train_dataloader = dict(
    dataset=dict(
        type="react_mm.OpenVocabularyCocoDataset",
        data_root=data_root,
        ann_file="annotations/instances_train.json",
        data_prefix=dict(img="train/"),
    )
)
val_dataloader = dict(
    dataset=dict(
        type="react_mm.OpenVocabularyCocoDataset",
        data_root=data_root,
        ann_file="annotations/instances_val.json",
        data_prefix=dict(img="val/"),
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type="react_mm.OpenVocabularyCocoMetric",
    ann_file=data_root + "annotations/instances_val.json",
    proposal_nums=(100, 300, 1000),
)
test_evaluator = val_evaluator
