# Convolutions on the dense embedding, cosine with the class embeddings, learned temperature.
_base_ = ["./trained_segmentor.py"]

model = dict(decode_head=dict(type="react_mm.CosineDecodeHead", embed_dim=512, channels=256))
