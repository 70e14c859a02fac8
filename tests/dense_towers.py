"""Small random towers for the tests of dense tasks: three architectures, gates open."""

import json

import torch

TEXT = dict(context_length=16, vocab_size=49408, width=32, heads=2, layers=1)
ARCHITECTURES = {
    # The family of ViT-B-32: class token, GELU, pre-norm.
    "plain": dict(
        embed_dim=24,
        vision_cfg=dict(image_size=64, layers=4, width=48, head_width=16, patch_size=16),
        text_cfg=TEXT,
    ),
    # OpenAI's activation.
    "quickgelu": dict(
        embed_dim=20,
        quick_gelu=True,
        vision_cfg=dict(image_size=40, layers=3, width=32, head_width=8, patch_size=8),
        text_cfg=TEXT,
    ),
    # Everything else that differs: average pooling, norm after it, LayerScale, non-square, ratios.
    "unusual": dict(
        embed_dim=16,
        vision_cfg=dict(
            image_size=[32, 48],
            layers=3,
            width=40,
            head_width=10,
            mlp_ratio=2.5,
            patch_size=8,
            ls_init_value=0.5,
            pool_type="avg",
            final_ln_after_pool=True,
            no_ln_pre=True,
            act_kwargs=dict(approximate="tanh"),
        ),
        text_cfg=TEXT,
    ),
}


def write_architecture(folder, name):
    """Writes an architecture's JSON and returns its path."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(ARCHITECTURES[name]))
    return str(path)


def shake(module, seed=1):
    """Gives every weight a random offset, so that zeros and ones of the init hide no fault."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return module


def open_gates(tower, blocks=2):
    """Inserts gated blocks with clearly open gates."""
    from react_mm.models.customization import insert_gated_blocks
    from react_mm.models.layers.gated_attention import gated_blocks

    insert_gated_blocks(tower, blocks=blocks)
    for number, gate in enumerate(gated_blocks(tower)):
        shake(gate, seed=20 + number)
        gate.alpha_attn.data.fill_(0.7)
        gate.alpha_dense.data.fill_(-0.5)
    tower.freeze()
    return tower


def gated_tower(folder, name="plain", blocks=2, seed=0, **options):
    """A random tower of an architecture, weights shaken and gates open."""
    from react_mm.models.backbones import CLIPViT

    torch.manual_seed(seed)
    tower = CLIPViT(write_architecture(folder, name), **options)
    shake(tower)
    return open_gates(tower, blocks) if blocks else tower


class HashEmbedder:
    """Class embeddings without a text tower: a random vector per name, the same every time."""

    def __init__(self, embed_dim):
        self.embed_dim = embed_dim

    def embed_names(self, names):
        seeds = [sum(ord(c) * 31**i for i, c in enumerate(name)) % 2**31 for name in names]
        rows = [
            torch.randn(self.embed_dim, generator=torch.Generator().manual_seed(s)) for s in seeds
        ]
        return torch.nn.functional.normalize(torch.stack(rows), dim=-1)

    def __call__(self, vocabulary):
        owned = [
            (written, index)
            for index, name in enumerate(vocabulary.names)
            for written in vocabulary.all_names(name)
        ]
        names, owners = zip(*owned, strict=True)
        return self.embed_names(names), torch.tensor(owners)
