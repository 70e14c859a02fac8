# Region self-distillation alone, on the retrieved and the general images: no text, no teacher.
_base_ = "gated-image_toy-vit_toy_dense.py"
model = dict(teacher_weight=0.0, contrastive_weight=0.0)
