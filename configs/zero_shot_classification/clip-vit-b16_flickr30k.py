# Flickr30k, Karpathy's test split: 1,000 images, 5,000 captions.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/karpathy_retrieval.py",
    "../_base_/default_runtime.py",
]
test_dataloader = dict(
    dataset=dict(
        path="data/flickr30k", annotations="dataset_flickr30k.json", images="flickr30k-images"
    )
)
