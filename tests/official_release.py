"""A checkpoint of the REACT release as its trainer writes it, and its forward pass in plain torch.

Nothing here imports react_mm: facts A2 alone.
"""

import json
import math

import torch

WIDTHS = {32: 2, 48: 3, 80: 5}  # width: heads
PATCH, LAYERS = 8, 4


def write_architecture(folder, width, quick_gelu=False):
    """An open_clip architecture of ``LAYERS`` blocks."""
    config = {
        "embed_dim": 24,
        "quick_gelu": quick_gelu,
        "vision_cfg": {
            "image_size": 32,
            "layers": LAYERS,
            "width": width,
            "head_width": width // WIDTHS[width],
            "patch_size": PATCH,
        },
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 49408,
            "width": 32,
            "heads": 2,
            "layers": 1,
        },
    }
    path = folder / f"vit{width}{'q' if quick_gelu else ''}.json"
    path.write_text(json.dumps(config))
    return path


def plain_state(path, seed=0):
    """Random weights of open_clip's model, none of them at its initial zero or one."""
    import open_clip

    open_clip.add_model_config(path)
    model = open_clip.create_model(path.stem)
    generator = torch.Generator().manual_seed(seed)
    return {
        k: v + 0.05 * torch.randn(v.shape, generator=generator) if v.ndim else v.clone()
        for k, v in model.state_dict().items()
    }


def gates(width, blocks=2, ratio=4, seed=1, scalar=False):
    """Weights of the gated blocks before the last ``blocks`` of ``LAYERS`` blocks, gates open."""
    generator = torch.Generator().manual_seed(seed)
    hidden, state = int(width * ratio), {}
    shapes = {
        "ln_1.weight": (width,),
        "ln_1.bias": (width,),
        "attn.in_proj_weight": (3 * width, width),
        "attn.in_proj_bias": (3 * width,),
        "attn.out_proj.weight": (width, width),
        "attn.out_proj.bias": (width,),
        "ln_2.weight": (width,),
        "ln_2.bias": (width,),
        "mlp.c_fc.weight": (hidden, width),
        "mlp.c_fc.bias": (hidden,),
        "mlp.c_proj.weight": (width, hidden),
        "mlp.c_proj.bias": (width,),
        "alpha_attn": () if scalar else (1,),
        "alpha_dense": () if scalar else (1,),
    }
    for block in range(LAYERS - blocks, LAYERS):
        for name, shape in shapes.items():
            value = 0.2 * torch.randn(shape, generator=generator)
            value = 0.7 + value if name.startswith("alpha") else value
            key = f"visual.transformer.resblocks.{block}.gated_attn_block.{name}"
            state[key] = value
    return state


def layer_norm(x, weight, bias):
    """Over the last axis, variance without correction, epsilon 1e-5."""
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight + bias


def attention(x, state, prefix, heads):
    """Multi-head self-attention, head by head."""
    width = x.shape[-1]
    packed = x @ state[f"{prefix}.in_proj_weight"].T + state[f"{prefix}.in_proj_bias"]
    q, k, v = packed.split(width, dim=-1)
    mixed = []
    for head in range(heads):
        part = slice(head * width // heads, (head + 1) * width // heads)
        logits = q[..., part] @ k[..., part].transpose(-1, -2) / math.sqrt(width // heads)
        mixed.append(logits.softmax(-1) @ v[..., part])
    mixed = torch.cat(mixed, -1)
    return mixed @ state[f"{prefix}.out_proj.weight"].T + state[f"{prefix}.out_proj.bias"]


def block(x, state, prefix, heads, quick_gelu, attn_gate=1.0, mlp_gate=1.0):
    """A pre-LN block whose branches are multiplied by two numbers."""
    y = layer_norm(x, state[f"{prefix}.ln_1.weight"], state[f"{prefix}.ln_1.bias"])
    x = x + attn_gate * attention(y, state, f"{prefix}.attn", heads)
    y = layer_norm(x, state[f"{prefix}.ln_2.weight"], state[f"{prefix}.ln_2.bias"])
    y = y @ state[f"{prefix}.mlp.c_fc.weight"].T + state[f"{prefix}.mlp.c_fc.bias"]
    y = y * (torch.sigmoid(1.702 * y) if quick_gelu else 0.5 * (1 + torch.erf(y / math.sqrt(2))))
    y = y @ state[f"{prefix}.mlp.c_proj.weight"].T + state[f"{prefix}.mlp.c_proj.bias"]
    return x + mlp_gate * y


def encode_image(state, images, heads, quick_gelu=False, scale=1.0):
    """Pooled embedding (B, D) of images float (B, 3, H, W), from a whole state dict."""
    batch, _, height, width = images.shape
    rows, columns = height // PATCH, width // PATCH
    patches = images.reshape(batch, 3, rows, PATCH, columns, PATCH)
    patches = patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, -1)
    x = patches @ state["visual.conv1.weight"].flatten(1).T
    token = state["visual.class_embedding"].expand(batch, 1, -1)
    x = torch.cat([token, x], 1) + state["visual.positional_embedding"]
    x = layer_norm(x, state["visual.ln_pre.weight"], state["visual.ln_pre.bias"])
    for number in range(LAYERS):
        prefix = f"visual.transformer.resblocks.{number}"
        gated = f"{prefix}.gated_attn_block"
        if f"{gated}.alpha_attn" in state:
            opened = [
                scale * math.tanh(float(state[f"{gated}.{n}"]))
                for n in ("alpha_attn", "alpha_dense")
            ]
            x = block(x, state, gated, heads, quick_gelu, *opened)
        x = block(x, state, prefix, heads, quick_gelu)
    pooled = layer_norm(x[:, 0], state["visual.ln_post.weight"], state["visual.ln_post.bias"])
    return pooled @ state["visual.proj"]


def save_as_trainer(state, path):
    """``module.`` prefixes, and the optimiser's state around it, as a training checkpoint has."""
    parameter = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = torch.optim.AdamW([parameter], lr=1e-3)
    parameter.sum().backward()
    optimizer.step()
    wrapped = {
        "epoch": 32,
        "name": "React_gi-clip_b32",
        "state_dict": {f"module.{k}": v for k, v in state.items()},
        "optimizer": optimizer.state_dict(),
        "scaler": {"scale": 65536.0, "growth_tracker": 12},
    }
    torch.save(wrapped, path)
    return path
