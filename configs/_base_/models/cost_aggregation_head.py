# Cost volume of dense and class embeddings, refined over space and classes (CAT-Seg's idea).
_base_ = ["./trained_segmentor.py"]

model = dict(
    decode_head=dict(
        type="react_mm.CostAggregationHead",
        embed_dim=512,
        tap_channels=768,
        channels=64,
        depth=2,
        with_cp=True,
    )
)
