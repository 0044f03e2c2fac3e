import mmcv
import numpy as np

from ..builder import PIPELINES


@PIPELINES.register_module()
class GlyphResize(object):
    """Resize the image to (w, h)."""

    def __init__(self, size, interpolation='bilinear', backend='cv2'):
        assert mmcv.is_tuple_of(size, int) or mmcv.is_list_of(size, int)
        self.size = tuple(size)
        self.interpolation = interpolation
        self.backend = backend

    def __call__(self, results):
        img, w_scale, h_scale = mmcv.imresize(
            results['img'], self.size, return_scale=True, interpolation=self.interpolation, backend=self.backend)
        results['img'] = img
        results['img_shape'] = img.shape
        results['scale_factor'] = np.array([w_scale, h_scale, w_scale, h_scale], dtype=np.float32)
        return results


@PIPELINES.register_module()
class GlyphFlip(object):
    """Flip the image with a probability."""

    def __init__(self, flip_prob=0.5, direction='horizontal'):
        self.flip_prob = flip_prob
        self.direction = direction

    def __call__(self, results):
        results['flip'] = bool(np.random.rand() < self.flip_prob)
        if results['flip']:
            results['img'] = mmcv.imflip(results['img'], direction=self.direction)
        return results


@PIPELINES.register_module()
class GlyphJitter(object):
    """Change the brightness by a random factor, and the position by a random shift."""

    def __init__(self, brightness=0.2, shift=1):
        self.brightness = brightness
        self.shift = shift

    def __call__(self, results):
        factor = np.random.uniform(1 - self.brightness, 1 + self.brightness)
        img = mmcv.adjust_brightness(results['img'], factor)
        dx, dy = np.random.randint(-self.shift, self.shift + 1, 2)
        h, w = img.shape[:2]
        img = mmcv.impad(img, padding=(self.shift, ) * 4, pad_val=0)
        x, y = self.shift + dx, self.shift + dy
        results['img'] = mmcv.imcrop(img, np.array([x, y, x + w - 1, y + h - 1]))
        return results


@PIPELINES.register_module()
class GlyphNormalize(object):
    """Normalize the image."""

    def __init__(self, mean, std, to_rgb=False):
        self.mean = np.array(mean, dtype=np.float32)
        self.std = np.array(std, dtype=np.float32)
        self.to_rgb = to_rgb

    def __call__(self, results):
        img = results['img']
        if img.ndim == 2:
            img = img[..., None]
        results['img'] = mmcv.imnormalize(img, self.mean, self.std, self.to_rgb)
        results['img_norm_cfg'] = dict(mean=self.mean, std=self.std, to_rgb=self.to_rgb)
        return results
