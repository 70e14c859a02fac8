"""On a GPU the inferencer says what it says on the CPU."""

import pytest

from react_mm.apis import Inferencer
from tests.inference_toys import (
    CLASSIFIER,
    DETECTOR,
    EVERY_BOX,
    NAMES,
    SEGMENTOR,
    detector_checkpoint,
    picture,
)

pytestmark = pytest.mark.gpu


def test_classifier_and_segmentor():
    for config in (CLASSIFIER, SEGMENTOR):
        cpu, gpu = (
            Inferencer(config, vocabulary=NAMES, device=device)(picture())
            for device in ("cpu", "cuda")
        )
        for a, b in zip(cpu.get("classes", []), gpu.get("classes", []), strict=True):
            assert a["name"] == b["name"]
            assert a["score"] == pytest.approx(b["score"], abs=1e-3)
        shares = [{r["name"]: r["share"] for r in x.get("regions", [])} for x in (cpu, gpu)]
        for name in set(shares[0]) | set(shares[1]):
            assert shares[0].get(name, 0) == pytest.approx(shares[1].get(name, 0), abs=0.01)


def test_detector(tmp_path):
    path = detector_checkpoint(tmp_path / "iter_1.pth")
    found = [
        Inferencer(DETECTOR, path, NAMES, options=EVERY_BOX, device=device)(picture())["objects"]
        for device in ("cpu", "cuda")
    ]
    assert abs(len(found[0]) - len(found[1])) <= 2
    for a, b in zip(found[0][:5], found[1][:5], strict=True):
        assert a["score"] == pytest.approx(b["score"], abs=5e-3)
