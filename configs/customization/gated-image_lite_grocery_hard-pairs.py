# Each pair beside one of its hard pairs (HELIP): tools/retrieve.py hard-pairs CONFIG mines them.
_base_ = "gated-image_lite_grocery_no-teacher.py"
train_dataloader = dict(
    sampler=dict(hard_pairs="work_dirs/real_photos/retrieval/hard_pairs", hard_per_pair=1)
)
