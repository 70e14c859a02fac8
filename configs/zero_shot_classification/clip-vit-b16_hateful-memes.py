# hateful-memes: 2 classes, 500 test images, 1 template; ROC AUC.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/classification_set.py",
    "../_base_/default_runtime.py",
]
model = dict(templates="hateful-memes")
test_dataloader = dict(dataset=dict(name="hateful-memes", path="data/elevater/hateful-memes"))
test_evaluator = dict(_delete_=True, type="react_mm.BinaryAUC")
