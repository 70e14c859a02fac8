# REACT's locked-text tuning of OpenCLIP ViT-bigG/14 (LAION-2B): the image tower at lr 5e-5.
_base_ = "gated-image_open-clip-vit-bigg14_imagenet10m_8xb512_32e.py"
model = dict(method="locked-text", method_options=dict(_delete_=True))
optim_wrapper = dict(optimizer=dict(lr=5e-5))
