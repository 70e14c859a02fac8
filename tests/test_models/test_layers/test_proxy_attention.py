"""ProxyCLIP's weights by loops, and where its formula leaves nothing."""

import torch

from react_mm.models.layers.proxy_attention import proxy_weights


def test_weights_by_loops():
    features = torch.randn(2, 5, 2, 3)
    weights = proxy_weights(features, beta=1.0, gamma=2.0)
    for image, ours in zip(features.flatten(2), weights, strict=True):
        unit = image.T / image.T.norm(dim=1, keepdim=True)
        similarity = unit @ unit.T
        for i in range(6):
            terms = 2.0 * (similarity[i] - similarity.mean())
            terms = torch.where(terms >= 0, terms.exp(), torch.zeros(()))
            torch.testing.assert_close(ours[i], terms / terms.sum())


def test_cells_all_alike_look_at_themselves():
    weights = proxy_weights(torch.ones(1, 4, 3, 3))
    torch.testing.assert_close(weights[0], torch.eye(9))
