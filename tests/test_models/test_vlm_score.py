"""The tower's own score of regions, and the features that carry it through mmdet."""

import torch
import torch.nn.functional as F

from react_mm.models.open_vocabulary import OpenVocabulary
from react_mm.models.vlm_score import DenseFeatures, VLMScore
from tests.dense_towers import HashEmbedder


class Classifier(OpenVocabulary, torch.nn.Module):
    def __init__(self, names):
        super().__init__()
        self.init_vocabulary(HashEmbedder(6), 6)
        self.set_vocabulary(names)


class Tower:
    def pool_regions(self, dense, rois, bins):
        self.asked = bins
        return dense[rois[:, 0].long()].mean(dim=(2, 3))


def test_features_are_the_levels_alone():
    levels = [torch.rand(1, 2, 4, 4), torch.rand(1, 2, 2, 2)]
    features = DenseFeatures(levels, "dense", "tower")
    assert isinstance(features, tuple) and len(features) == 2
    assert (features.dense, features.tower) == ("dense", "tower")
    assert DenseFeatures(levels).dense is None


def test_logits_are_cosines_of_what_the_tower_pools():
    head, tower = VLMScore(), Tower()
    head.classifier = Classifier(["cat", "dog", "bee"])
    head.init_vlm_score(None, vlm_temperature=0.02, vlm_roi_size=5)
    dense = torch.randn(2, 6, 3, 3)
    rois = torch.tensor([[0.0, 0, 0, 9, 9], [1, 0, 0, 9, 9], [0, 1, 1, 4, 4]])
    logits = head.vlm_logits(DenseFeatures([], dense, tower), rois)
    pooled = F.normalize(dense.mean(dim=(2, 3))[[0, 1, 0]], dim=1)
    expected = pooled @ HashEmbedder(6).embed_names(["cat", "dog", "bee"]).T / 0.02
    torch.testing.assert_close(logits, expected)
    assert tower.asked == 5


def test_weights_follow_vocabulary_and_base_classes():
    head = VLMScore()
    head.classifier = Classifier(["cat", "dog", "bee"])
    head.init_vlm_score(dict(type="react_mm.ScoreCombiner", base=0.25, novel=0.75), 0.01, 7)
    assert head.vlm_weights().tolist() == [0.75] * 3
    head.set_base_classes(["dog"])
    assert head.vlm_weights().tolist() == [0.75, 0.25, 0.75]
    head.classifier.set_vocabulary(["dog", "ant"])
    head.set_base_classes(["dog"])
    assert head.vlm_weights().tolist() == [0.25, 0.75]
