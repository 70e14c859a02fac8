# Trains the fusions of the drawn world on stored embeddings: no image is decoded.
_base_ = [
    "../_base_/models/reco_toy.py",
    "../_base_/datasets/reco_features.py",
    "../_base_/default_runtime.py",
    "../_base_/schedules/reco.py",
]
memory = "work_dirs/retrieval/toy"
model = dict(base=None, memory=None, weights=None)
train_dataloader = dict(dataset=dict(pairs=memory))
val_dataloader = dict(dataset=dict(pairs=memory))
custom_hooks = [dict(type="react_mm.ExportHook", filename="reco.safetensors")]
