# OpenAI's ViT-B/16, refined by a memory.
_base_ = "clip-vit-b16_openai.py"
model = dict(
    _delete_=True,
    type="react_mm.RECO",
    base={{_base_.model}},
    fusion=dict(type="react_mm.NeighbourFusion", dim=512, heads=8, residual=True),
    memory=dict(type="react_mm.PairMemory", folder="work_dirs/retrieval/my-pool_clip-vit-b16"),
    k=10,
    class_texts="mean",
    weights="work_dirs/reco_clip-vit-b16_my-pool/reco.safetensors",
)
