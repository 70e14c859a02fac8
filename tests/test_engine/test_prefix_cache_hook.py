"""The hook that fills the store before training, on stand-ins for runner and model."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from react_mm.engine.prefix_cache_hook import PrefixCacheHook


class Tower(torch.nn.Module):
    preprocess = dict(size=(4, 4), mean=(0.5,) * 3, std=(0.5,) * 3)

    def __init__(self) -> None:
        super().__init__()
        self.trunk = torch.nn.Conv2d(3, 2, 1).requires_grad_(False)
        self.stage = torch.nn.Module()
        self.stage.gated_attn_block = torch.nn.Linear(2, 2)

    def prefix(self, x: torch.Tensor) -> torch.Tensor:
        return self.trunk(x).flatten(2).transpose(1, 2)

    def prefix_state(self) -> dict[str, torch.Tensor]:
        return self.trunk.state_dict()


class Data:
    prefix_cache = "store"

    def fill_prefix_cache(self, encode, identity, batch_size):
        self.identity, self.batch_size = identity, batch_size
        self.tokens = encode(np.full((2, 3, 4, 4), 255, np.uint8))
        return 2


def runner(tower, dataset) -> SimpleNamespace:
    model = SimpleNamespace(
        image_tower=tower,
        method="gated-image",
        data_preprocessor=lambda data: {"inputs": data["inputs"].float() / 255},
    )
    return SimpleNamespace(
        model=model,
        train_dataloader=SimpleNamespace(dataset=dataset),
        logger=SimpleNamespace(info=lambda text: None),
    )


def test_the_store_is_filled_with_the_normalised_images_prefix():
    tower, data = Tower(), Data()
    PrefixCacheHook(batch_size=8).before_train(runner(tower, data))
    expected = tower.prefix(torch.ones(2, 3, 4, 4)).detach().numpy()
    np.testing.assert_allclose(data.tokens, expected)
    assert data.batch_size == 8
    other = Data()
    tower.stage.gated_attn_block.weight.data += 1  # no part of the prefix
    PrefixCacheHook().before_train(runner(tower, other))
    assert other.identity == data.identity
    tower.trunk.weight.data += 1
    PrefixCacheHook().before_train(runner(tower, other))
    assert other.identity != data.identity


def test_what_cannot_be_stored_is_refused():
    with pytest.raises(TypeError, match="CachedPairDataset"):
        PrefixCacheHook().before_train(runner(Tower(), [1, 2]))
    with pytest.raises(TypeError, match="no frozen prefix"):
        PrefixCacheHook().before_train(runner(torch.nn.Linear(1, 1), Data()))
    trained = Tower()
    trained.trunk.weight.requires_grad_(True)
    with pytest.raises(ValueError, match="trunk.weight"):
        PrefixCacheHook().before_train(runner(trained, Data()))
