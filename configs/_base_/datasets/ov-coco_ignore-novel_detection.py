# OV-COCO whose training keeps the places of novel objects as boxes without names, which losses
# ignore (convert_ov_dataset.py --novel-as-ignore writes them); see docs/prepare_datasets.md.
_base_ = ["ov-coco_detection.py"]

train_dataloader = dict(
    dataset=dict(ann_file="annotations/instances_train2017_base_ignore.json", ignore_novel=True)
)
