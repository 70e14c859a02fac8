"""The dense benchmark on a tiny tower, and its arithmetic."""

import pytest
import torch

from react_mm.benchmarks import dense
from react_mm.benchmarks.dense_candidates import DenseCandidates, reference_tower
from react_mm.benchmarks.timing import Timings
from tests.tiny import write_architecture

SECONDS = {
    "plain": [1.0, 2.0, 4.0],
    "taps and dense": [1.0, 3.0, 4.0],
    "dense maskclip": [1.1, 2.2, 4.4],
    "detector 1203": [1.5, 4.5, 8.0],
}


class Known:
    arch, device, detections = "ViT-B-16", "cpu", {(800, 1203): 100.0}


def rows(seconds, parts):
    table = dense.Table(800, 2, 3, ("maskclip",), (1203,), train=False)
    found = dense.rows_of(Timings(seconds), dict.fromkeys(seconds, 3 << 20), parts, table, Known)
    return {(r["name"], r["settings"].get("method")): r for r in found}


def test_ratios_are_taken_per_turn():
    found = rows(SECONDS, {"neck": [0.3, 0.6]})
    ratio = found["dense.ratio_to_plain", "dense maskclip"]
    assert ratio["value"] == pytest.approx(1.1)
    assert ratio["settings"]["mode"] == "maskclip" and ratio["settings"]["goal"] == 1.10
    rest = found["detector.rest_to_backbone", "detector 1203"]
    assert rest["value"] == pytest.approx(0.5)  # of .5, .5 and 1
    assert (rest["settings"]["size"], rest["settings"]["classes"]) == (800, 1203)
    assert rest["settings"]["goal"] == 0.6
    assert found["taps_and_dense.ratio_to_plain", "taps and dense"]["value"] == 1.0
    assert found["detector.part_to_backbone", "detector 1203, neck"]["value"] == pytest.approx(0.15)
    assert found["dense.images_per_second", "plain"]["value"] == 1.0
    assert found["dense.peak_memory", "plain"]["value"] == 3.0


def test_the_full_table_holds_what_is_promised():
    sizes = {t.size: t for t in dense.FULL}
    assert list(sizes) == [224, 448, 800, 1024]
    modes = {"vanilla", "maskclip", "sclip", "naclip", "clearclip"}
    assert all(modes <= set(t.modes) and tuple(t.classes) == (80, 1203) for t in dense.FULL)
    assert any(t.size == 800 and 1203 in t.classes for t in dense.QUICK)
    assert set(dense.GPU_BATCH) == set(sizes)


@pytest.fixture(scope="module")
def candidates(tmp_path_factory):
    arch = write_architecture(tmp_path_factory.mktemp("arch"))
    roi = "model.roi_head"
    options = {
        "model.backbone.arch": arch,
        "model.backbone.out_indices": [0, 1, 2, 3],
        "model.neck.in_channels": 64,
        "model.neck.out_channels": 16,
        "model.rpn_head.in_channels": 16,
        "model.rpn_head.feat_channels": 16,
        f"{roi}.bbox_roi_extractor.out_channels": 16,
        f"{roi}.bbox_head.in_channels": 16,
        f"{roi}.bbox_head.fc_out_channels": 16,
        f"{roi}.bbox_head.embed_dim": 32,
    }
    return DenseCandidates(dense.CONFIG, options=options)


def test_a_tiny_table(candidates):
    table = dense.Table(64, 2, 2, ("vanilla", "clearclip"), (5, 12))
    timings, peaks, parts = dense.measure(candidates, table)
    assert list(timings.seconds)[0] == "plain" and len(timings.seconds) == 9
    assert set(peaks) == set(timings.seconds) and set(parts) == set(dense.PARTS)
    assert all(len(seconds) == 2 for seconds in parts.values())
    found = dense.rows_of(timings, peaks, parts, table, candidates)
    rest = [r["settings"] for r in found if r["name"] == "detector.rest_to_backbone"]
    assert {settings["classes"] for settings in rest} == {5, 12}
    assert sum(r["name"] == "dense.ratio_to_plain" for r in found) == 2
    assert {"pooled.ratio_to_plain", "taps.ratio_to_plain", "detector.training_step"} <= {
        r["name"] for r in found
    }
    assert not candidates.model.training and candidates.model.backbone.dense_mode == "maskclip"
    assert "forward" not in vars(candidates.model.neck)  # the stop watch is off again


def test_what_is_compared_is_what_it_says(candidates):
    images = candidates.images(64, 1)
    assert candidates.dense(images, "maskclip").shape == (1, 32, 8, 8)
    taps, maps = candidates.taps_and_dense(images)
    torch.testing.assert_close(maps, candidates.dense(images, "maskclip"))
    torch.testing.assert_close(taps[-1], candidates.taps(images)[-1])
    (found,) = candidates.detect(images, 12)
    assert int(found.pred_instances.labels.max()) < 12 == candidates.model.num_vocabulary


def test_the_reference_is_open_clips_own_forward_at_that_size(candidates):
    tower = reference_tower(candidates.arch, 64)
    assert type(tower).__module__ == "open_clip.transformer"
    assert len(tower.positional_embedding) == 1 + 8 * 8
    assert tower(candidates.images(64, 2)).shape == (2, 32)
