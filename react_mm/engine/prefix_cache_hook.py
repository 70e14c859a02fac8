"""Runs the frozen prefix of the image tower once per image instead of once per epoch."""

from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from react_mm.engine.vocabulary_hook import innermost
from react_mm.models.prefix import prefix_encoder, prefix_identity
from react_mm.registry import HOOKS


@HOOKS.register_module()
class PrefixCacheHook(Hook):
    """Before training, fills the store of a :class:`react_mm.CachedPairDataset`.

    Args:
        batch_size: Images encoded at once.
    """

    priority = "NORMAL"

    def __init__(self, batch_size: int = 32) -> None:
        self.batch_size = batch_size

    def before_train(self, runner: Runner) -> None:
        """Computes what is missing.

        Raises:
            TypeError: If the data set has no prefix cache, or the tower no frozen prefix.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        dataset = innermost(runner.train_dataloader.dataset)
        if not hasattr(dataset, "fill_prefix_cache"):
            raise TypeError(
                f"PrefixCacheHook: {type(dataset).__name__} keeps no tokens; use "
                "react_mm.CachedPairDataset, or remove the hook"
            )
        encode, identity = prefix_encoder(model), prefix_identity(model)
        if is_main_process():
            count = dataset.fill_prefix_cache(encode, identity, self.batch_size)
            runner.logger.info(
                f"frozen prefix: {count} images computed, the rest found in {dataset.prefix_cache}"
            )
        barrier()
        if not is_main_process():
            dataset.fill_prefix_cache(encode, identity, self.batch_size)
