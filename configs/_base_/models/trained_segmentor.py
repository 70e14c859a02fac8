# A trained head on the frozen tower's dense embedding; the child says which head.
_base_ = ["./training_free_segmentor.py"]

model = dict(
    type="react_mm.TrainedSegmentor",
    backbone=dict(out_indices=(7,)),
    # Weights of the tower's own scores for seen and unseen classes; facts D3: FC-CLIP.
    score_combiner=dict(type="react_mm.ScoreCombiner", base=0.4, novel=0.8),
    tower_scale=50.0,
)
