"""Box head with class-agnostic boxes and a cosine classifier."""

from typing import Any

from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from react_mm.models.layers.cosine_classifier import CosineClassifier
from react_mm.models.open_vocabulary import OpenVocabulary
from react_mm.registry import MODELS


@MODELS.register_module()
class OpenVocabularyBBoxHead(ConvFCBBoxHead):
    """mmdet's box head whose classes are those of the detector's vocabulary (F-VLM).

    Args:
        embed_dim: Dimension D of the joint space.
        temperature: Start value of the classifier's learned temperature.
        background_weight: Weight of background regions in the classification loss (F-VLM: .9).
        num_shared_convs: Shared convolutions (F-VLM and F-ViT: 4).
        num_shared_fcs: Shared fully connected layers.
        **kwargs: Those of mmdet's ``ConvFCBBoxHead``. ``num_classes``, ``reg_class_agnostic`` and
            ``cls_predictor_cfg``, which mmdet's bases carry, are decided here.
    """

    def __init__(
        self,
        embed_dim: int,
        temperature: float = 0.02,
        background_weight: float = 1.0,
        num_shared_convs: int = 0,
        num_shared_fcs: int = 2,
        **kwargs: Any,
    ) -> None:
        # An init_cfg of our own: mmdet's would overwrite the classifier, background included.
        kwargs.setdefault(
            "init_cfg",
            [
                dict(type="Normal", std=0.001, override=dict(name="fc_reg")),
                dict(type="Xavier", distribution="uniform", override=[dict(name="shared_fcs")]),
            ],
        )
        for decided in ("num_classes", "reg_class_agnostic", "cls_predictor_cfg"):
            kwargs.pop(decided, None)
        super().__init__(
            num_shared_convs=num_shared_convs,
            num_shared_fcs=num_shared_fcs,
            reg_class_agnostic=True,
            cls_predictor_cfg=dict(
                type="react_mm.CosineClassifier", embed_dim=embed_dim, temperature=temperature
            ),
            num_classes=1,
            **kwargs,
        )
        self.background_weight = background_weight

    @property
    def classifier(self) -> CosineClassifier:
        """The cosine classifier."""
        return self.fc_cls

    def follow(self, source: OpenVocabulary) -> None:
        """Takes over the vocabulary of the detector this head belongs to."""
        self.classifier.follow(source)
        self.num_classes = source.num_vocabulary

    def _predict_by_feat_single(
        self,
        roi: Tensor,
        cls_score: Tensor,
        bbox_pred: Tensor,
        img_meta: dict,
        rescale: bool = False,
        rcnn_test_cfg: ConfigDict | None = None,
    ) -> InstanceData:
        """mmdet's hook: boxes of one image after NMS, among its ``nms_pre`` best.

        Without that limit 1,000 regions and 1,203 classes are 1.2 million boxes for the NMS. What
        is kept of the best is what would be kept of all.
        """
        limit = (rcnn_test_cfg or {}).get("nms_pre", -1)
        pairs = cls_score.shape[0] * (cls_score.shape[1] - 1)
        if 0 < limit < pairs:
            scores = cls_score.softmax(dim=-1)[:, :-1].flatten()
            least = float(scores.topk(limit + 1).values[-1])
            threshold = max(rcnn_test_cfg.score_thr, least)
            rcnn_test_cfg = ConfigDict({**rcnn_test_cfg, "score_thr": threshold})
        return super()._predict_by_feat_single(
            roi, cls_score, bbox_pred, img_meta, rescale, rcnn_test_cfg
        )

    def loss(
        self,
        cls_score: Tensor,
        bbox_pred: Tensor,
        rois: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> dict[str, Tensor]:
        """mmdet's loss, background regions weighted by ``background_weight``."""
        if self.background_weight != 1.0:
            background = labels == self.num_classes
            label_weights = label_weights.where(~background, label_weights * self.background_weight)
        return super().loss(cls_score, bbox_pred, rois, labels, label_weights, *args, **kwargs)
