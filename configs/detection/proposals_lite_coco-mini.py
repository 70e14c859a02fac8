# Given proposals of coco_mini, named by the lite base; nothing is trained.
_base_ = ["./gt-box_lite_coco-mini.py"]
custom_imports = dict(imports=["react_mm.datasets.proposals", "react_mm.evaluation.ov_coco"])
data_root = "{{$REACT_MM_DATA:data/photos}}/coco_mini/"
proposal_file = data_root + "proposals_val.npz"
model = dict(type="react_mm.ProposalClassifier")
test_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="Resize", scale=(1333, 640), keep_ratio=True),
            dict(type="react_mm.LoadProposals", proposal_file=proposal_file),
            dict(
                type="PackDetInputs",
                meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
            ),
        ]
    )
)
test_evaluator = dict(
    _delete_=True,
    type="react_mm.OpenVocabularyCocoMetric",
    ann_file=data_root + "annotations/instances_val.json",
)
