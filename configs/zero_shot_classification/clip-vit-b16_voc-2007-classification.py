# voc-2007-classification: 20 classes, 4,952 test images, 1 template; 11-point mAP.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/classification_set.py",
    "../_base_/default_runtime.py",
]
model = dict(templates="voc-2007-classification")
test_dataloader = dict(
    dataset=dict(name="voc-2007-classification", path="data/elevater/voc-2007-classification")
)
test_evaluator = dict(_delete_=True, type="react_mm.MultiLabelPrecision")
