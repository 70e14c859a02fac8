# The drawn world's base, refined by a memory: needs tools/retrieve.py and a finished training.
_base_ = "clip_toy.py"
model = dict(
    _delete_=True,
    type="react_mm.RECO",
    base={{_base_.model}},
    fusion=dict(type="react_mm.NeighbourFusion", dim=128, heads=4, residual=True),
    memory=dict(type="react_mm.PairMemory", folder="work_dirs/retrieval/toy"),
    k=10,
    weights="work_dirs/reco_toy-vit_toy/reco.safetensors",
)
