"""The shipped weights: size, card, and that they know what the card says."""

import hashlib
import json

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file

from react_mm.checkpoints import content_hash, read_card
from react_mm.models.open_clip_loading import load_open_clip
from react_mm.prompts import TEMPLATES
from react_mm.toy.pretrain import CONFIG, ROOT, WEIGHTS, export_state
from react_mm.toy.sampling import labelled_single
from react_mm.toy.tokenizer import MERGES_FILE
from react_mm.toy.world import CONCEPTS, TARGET_FAMILY, concept_names


@pytest.fixture(scope="module")
def card():
    return read_card(WEIGHTS)


def test_weights_are_small_and_those_of_the_card(card):
    assert WEIGHTS.stat().st_size < 8_000_000
    state = load_file(WEIGHTS)
    assert content_hash(state) == card["weights_hash"]
    assert sum(v.numel() for v in state.values()) == card["parameters"]
    assert all(torch.isfinite(v).all() for v in state.values())


def test_card_names_what_the_base_was_made_of(card):
    assert card["tokenizer_sha256"] == hashlib.sha256(MERGES_FILE.read_bytes()).hexdigest()
    architecture = json.loads(WEIGHTS.with_name("toy-vit.json").read_text())
    assert card["architecture"] == architecture
    assert architecture["vision_cfg"]["layers"] >= 6
    assert card["config"] == CONFIG and (ROOT / CONFIG).is_file()
    assert card["training_cpu_minutes"] <= 60
    base = card["world"]["parts"]["base"]
    assert (base["target"] + base["mention"]) / sum(
        base[k] for k in ("target", "mention", "other")
    ) < 0.01


def test_the_base_reaches_what_was_asked(card):
    for split in ("val", "test"):
        assert card["zero_shot"][split]["other"] >= 0.70
        assert card["zero_shot"][split]["target"] < card["zero_shot"][split]["other"] - 0.3


def test_zero_shot_by_plain_open_clip_agrees_with_the_card(card):
    """The first ten test images of every concept, with open_clip alone."""
    model = load_open_clip("toy-vit", pretrained="drawn-world")
    tokenizer = open_clip.tokenizer.SimpleTokenizer(str(MERGES_FILE), context_length=32)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    with torch.no_grad():
        classes = []
        for name in concept_names():
            text = model.encode_text(tokenizer([t.format(name) for t in TEMPLATES["drawn"]]))
            classes.append(torch.nn.functional.normalize(text, dim=-1).mean(0))
        classes = torch.nn.functional.normalize(torch.stack(classes), dim=-1)
        correct = []
        for concept in range(len(CONCEPTS)):
            images = np.stack([labelled_single(0, "test", concept, i).image for i in range(10)])
            x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
            predicted = (model.encode_image((x - mean) / std) @ classes.T).argmax(1)
            correct.append((predicted == concept).float().mean().item())
    other = np.mean(
        [a for a, c in zip(correct, CONCEPTS, strict=True) if c.family != TARGET_FAMILY]
    )
    # 420 images: a standard error of 2 points
    assert other == pytest.approx(card["zero_shot"]["test"]["other"], abs=0.05)
    assert other >= 0.65


def test_the_world_is_the_one_of_the_card(card):
    """The first shard of the pretraining pairs, drawn again."""
    from react_mm.toy.sampling import pair
    from react_mm.toy.writer import drawing_digest

    digest = hashlib.sha256()
    for index in range(100):
        row = pair(0, "base", index)
        digest.update(drawing_digest(row.drawing, row.caption))
    assert digest.hexdigest() == card["world"]["first_pairs_sha256"]


def test_export_refuses_a_checkpoint_of_another_model(tmp_path):
    torch.save(
        {"state_dict": {"image_tower.visual.x": torch.ones(1), "logit_scale": torch.ones(())}},
        tmp_path / "iter_1.pth",
    )
    with pytest.raises(ValueError, match="missing"):
        export_state(tmp_path / "iter_1.pth")
