# The offline base for photographs, refined by a memory.
_base_ = "lite.py"
model = dict(
    _delete_=True,
    type="react_mm.RECO",
    base={{_base_.model}},
    fusion=dict(type="react_mm.NeighbourFusion", dim=384, heads=6, residual=True),
    memory=dict(type="react_mm.PairMemory", folder="work_dirs/real_photos/retrieval"),
    k=10,
    weights="work_dirs/reco_lite_photos/reco.safetensors",
)
