"""Large batches on little memory: embeddings first, gradients chunk by chunk afterwards.

A contrastive loss needs the embeddings of the whole batch but not the activations behind them.
As in GradCache (arXiv 2101.06983) the batch is embedded in chunks without keeping activations, the
loss gives the gradient of every embedding, and each chunk is embedded a second time to carry its
gradient into the weights. Here the second pass happens inside the one backward pass (the chunk is a
unit of activation checkpointing), so that loss scaling, autocast, gradient averaging over processes
and every further term of the loss work as without chunks.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def encode_in_chunks(
    encode: Callable[..., Tensor], items: Tensor | Sequence[str], chunk_size: int | None
) -> Tensor:
    """Embeds ``items``; at most ``chunk_size`` of them hold activations at any time.

    The random generators are set back for the second pass, so that dropout draws the same masks.

    Args:
        encode: Items -> float (N, D), each row a function of its own item.
        items: Images (N, ...) or N strings.
        chunk_size: Items at once; None: all.

    Returns:
        float (N, D).

    Raises:
        ValueError: If ``chunk_size`` is below 1.
    """
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"chunk_size must be 1 or more, or None for the whole batch: {chunk_size}")
    if chunk_size is None or len(items) <= chunk_size:
        return encode(items)
    chunks = [items[i : i + chunk_size] for i in range(0, len(items), chunk_size)]
    if not torch.is_grad_enabled():
        return torch.cat([encode(chunk) for chunk in chunks])
    return torch.cat([checkpoint(encode, chunk, use_reentrant=False) for chunk in chunks])


def check_chunkable(model: nn.Module) -> None:
    """Refuses a model whose rows depend on each other: its chunks are not its batch.

    Raises:
        ValueError: Naming the first batch normalisation that uses batch statistics.
    """
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.training:
            raise ValueError(
                f"chunk_size: {name} normalises by the statistics of the batch, which a chunk does "
                "not have; freeze it (eval mode), or leave chunk_size out"
            )
