# The same with OpenAI's ResNet-50: regions go through CLIP's own frozen attention pool (F-VLM).
_base_ = ["./gt-box_clip-vit-b16_ov-coco.py"]
tower = dict(arch="RN50-quickgelu", pretrained="openai")
model = dict(
    class_embedder=dict(text_tower=tower),
    backbone=dict(_delete_=True, type="react_mm.CLIPResNet", **tower),
)
