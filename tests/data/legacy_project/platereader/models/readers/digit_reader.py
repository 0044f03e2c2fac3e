from ..builder import READERS, build_backbone, build_head
from .base import BaseReader


@READERS.register_module()
class DigitReader(BaseReader):
    """Reads one digit.

    Args:
        backbone (dict): Config of the backbone.
        head (dict): Config of the head.
        train_cfg (dict | None): Settings of training.
        test_cfg (dict | None): Settings of testing.
    """

    def __init__(self, backbone, head, train_cfg=None, test_cfg=None, pretrained=None, init_cfg=None):
        super(DigitReader, self).__init__(init_cfg)
        if pretrained is not None:
            backbone.pretrained = pretrained
        self.backbone = build_backbone(backbone)
        self.head = build_head(head)
        self.train_cfg = train_cfg
        self.test_cfg = test_cfg

    def extract_feat(self, img):
        return self.backbone(img)

    def forward_train(self, img, img_metas, gt_label):
        assert len(img_metas) == len(img)
        return self.head.forward_train(self.extract_feat(img), gt_label)

    def simple_test(self, img, img_metas=None, gt_label=None):
        return self.head.simple_test(self.extract_feat(img))
