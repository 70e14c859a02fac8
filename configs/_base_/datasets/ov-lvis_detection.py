# OV-LVIS on LVIS v1: 866 frequent and common classes for training, those and the 337 rare ones for
# testing. `tools/convert_ov_dataset.py --novel ov-lvis` writes the training file.
_base_ = ["mmdet::_base_/datasets/lvis_v1_instance.py"]

train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            type="react_mm.OpenVocabularyLVISDataset",
            only_base=True,
            ann_file="annotations/lvis_v1_train_base.json",
        )
    )
)
val_dataloader = dict(dataset=dict(type="react_mm.OpenVocabularyLVISDataset"))
test_dataloader = val_dataloader
# Mask R-CNN: metric=["bbox", "segm"]
val_evaluator = dict(type="react_mm.OpenVocabularyLVISMetric", metric="bbox")
test_evaluator = val_evaluator
