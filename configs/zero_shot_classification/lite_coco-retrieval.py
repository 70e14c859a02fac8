# Recall@k on the captions of coco_mini's validation photos: what customization may forget.
_base_ = ["../_base_/models/lite.py", "../_base_/default_runtime.py"]
test_dataloader = dict(
    batch_size=43,
    num_workers=0,
    dataset=dict(
        type="react_mm.RetrievalDataset",
        path="{{$REACT_MM_DATA:data/photos}}/coco_mini",
        where=dict(split="val"),
        pipeline=[dict(type="react_mm.ResizeCenterCrop", size=160)],
    ),
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
)
test_evaluator = dict(type="react_mm.RetrievalRecall")
test_cfg = dict(type="TestLoop")
