"""open_clip's text tower behind the interface that class embeddings and customization use."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from react_mm.checkpoints import load_delta
from react_mm.models.customization import insert_updates, is_inserted
from react_mm.models.open_clip_loading import load_open_clip, tokenizer_of
from react_mm.registry import MODELS


@MODELS.register_module()
class CLIPText(BaseModule):
    """Text tower of an open_clip model; its weights keep their names under ``model.``.

    Args:
        arch: See :func:`react_mm.models.open_clip_loading.load_open_clip`.
        pretrained: As there.
        checkpoint: As there.
        delta: A stored customization that trained the text tower (``full``, ``locked-image``,
            ``lora`` with ``text='lora'``).
    """

    def __init__(
        self,
        arch: str,
        pretrained: str | None = None,
        checkpoint: str | None = None,
        delta: str | None = None,
    ) -> None:
        super().__init__()
        self.arch = arch
        model = load_open_clip(arch, pretrained, checkpoint)
        self.initial_logit_scale = (
            0.0 if model.logit_scale.is_meta else float(model.logit_scale.detach())
        )
        for name in ("visual", "logit_scale", "logit_bias"):
            if hasattr(model, name):
                delattr(model, name)
        self.model = model.requires_grad_(False).eval()
        if delta is not None:
            self._apply_delta(delta)
        self._tokenizer = tokenizer_of(arch)

    def _apply_delta(self, delta: str) -> None:
        state, card = load_delta(delta)
        text = {k: v for k, v in state.items() if k not in card["image_tensors"]}
        text.pop("logit_scale", None)
        if card["method"] == "lora":
            insert_updates(self, card["method_options"])
            text = {k: v for k, v in self.model.state_dict().items() if not is_inserted(k)} | text
        self.model.requires_grad_(False).load_state_dict(text, strict=bool(text))

    def lora_blocks(self) -> list[nn.Module]:
        """The residual blocks of the text transformer, for low-rank updates.

        Raises:
            ValueError: If the tower is not open_clip's own (a Hugging Face encoder).
        """
        transformer = getattr(getattr(self.model, "text", self.model), "transformer", None)
        if not hasattr(transformer, "resblocks"):
            raise ValueError(
                f"method 'lora': the text tower of {self.arch!r} is not open_clip's own "
                "transformer; use text='locked'"
            )
        return list(transformer.resblocks)

    def init_weights(self) -> None:
        """Does nothing: the weights are loaded when the tower is built."""

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Tokens, int64 (N, context length); longer texts are cut."""
        return self._tokenizer(list(texts))

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embeds texts.

        Args:
            texts: N strings.

        Returns:
            float (N, D) in the joint space, not normalised.
        """
        tokens = self.tokenize(texts).to(next(self.model.parameters()).device)
        trains = torch.is_grad_enabled() and any(p.requires_grad for p in self.parameters())
        with torch.set_grad_enabled(trains):
            return self.model.encode_text(tokens)
