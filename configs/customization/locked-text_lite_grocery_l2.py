# Locked-text held back by the squared distance of its weights from the start.
_base_ = "locked-text_lite_grocery_plain.py"
model = dict(regularizers=[dict(type="react_mm.L2ToStart", weight=0.1)])
