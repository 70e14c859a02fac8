# Region self-distillation alone: no text is used.
_base_ = "gated-image_lite_grocery_dense.py"
model = dict(contrastive_weight=0.0)
