"""What the segmentation pages name is there: configs, tools, options, links."""

import re

import pytest

import react_mm  # noqa: F401  (first: mmcv's operators)
from react_mm.engine.configuration import load_config

PAGES = ("segmentation.md", "segment_your_images.md")


@pytest.mark.parametrize("page", PAGES)
def test_files_and_links_exist(page, repository):
    text = (repository / "docs" / page).read_text(encoding="utf-8")
    named = set(re.findall(r"\b((?:configs|tools|react_mm)/[\w./-]+\.py)\b", text))
    assert len(named) >= 4
    named |= {f"configs/segmentation/{n}" for n in re.findall(r"`([\w-]+_my-folder\.py)`", text)}
    assert [name for name in sorted(named) if not (repository / name).is_file()] == []
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert [link for link in links if not (repository / "docs" / link).exists()] == []


def test_options_of_the_guide_exist(repository):
    folder = repository / "configs" / "segmentation"
    options = {f"{p}_dataloader.dataset.novel": ["banana"] for p in ("train", "val", "test")}
    load_config(folder / "cosine-head_lite_my-folder.py", options)
    options = {
        "test_dataloader.dataset.img_suffix": ".png",
        "model.background.threshold": 0.4,
        "model.prune.min_area": 0.1,
        "model.layer": -2,
        "model.outlier_ratio": 3,
        "model.test_cfg.stride": (56, 56),
    }
    load_config(folder / "sclip_clip-vit-b16_my-folder.py", options)
