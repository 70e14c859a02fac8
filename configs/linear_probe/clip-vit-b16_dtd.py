# DTD from data/elevater/dtd/{train,test}; any set of zero_shot_classification works like this.
_base_ = "../zero_shot_classification/clip-vit-b16_dtd.py"
test_cfg = dict(type="react_mm.LinearProbeLoop", shots=(1, 5, 10, "all"), seeds=(0, 1, 2))
