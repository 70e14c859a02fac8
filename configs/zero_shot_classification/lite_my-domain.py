# Your own labelled photos by the names in $MY_NAMES; see docs/customize_your_domain.md.
_base_ = [
    "../_base_/models/lite.py",
    "../_base_/datasets/my_domain_zero_shot.py",
    "../_base_/default_runtime.py",
]
