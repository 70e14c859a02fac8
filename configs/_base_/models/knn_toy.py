# The drawn world's base with votes of a memory's nearest images; nothing is trained.
_base_ = "clip_toy.py"
model = dict(
    _delete_=True,
    type="react_mm.NeighbourVotes",
    base={{_base_.model}},
    memory=dict(type="react_mm.PairMemory", folder="work_dirs/retrieval/toy"),
    k=16,
    alpha=0.5,
    temperature=0.05,
)
