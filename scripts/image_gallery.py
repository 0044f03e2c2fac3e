"""Write docs/image-functions.md: every image function, with the code and the pictures before and after it.

    python scripts/image_gallery.py

The code on the page is what made the pictures, from a photograph of scikit-image.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

import cfgtrain

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "image-functions.md"
PICTURES = ROOT / "docs" / "pictures"
WIDTH, HEIGHT = 240, 160
GAP = 8
BACKGROUND = 255


class Entry(NamedTuple):
    """One function on the page.

    Attributes:
        names: The functions that the entry shows.
        code: Expression of the picture after; the picture before is ``img``. Empty for no picture.
        note: What the page says besides the summary of the docstring.
    """

    names: str
    code: str = ""
    note: str = ""


SECTIONS: dict[str, list[Entry]] = {
    "Reading and writing": [
        Entry("imread", 'imread("cat.png", max_side=120)', "Files and URIs; `max_side` decodes a large JPEG at a reduced size."),
        Entry("imfrombytes", "", "As `imread`, for the content of a file."),
        Entry("imwrite", "", 'The suffix selects the format: `imwrite(img, "out/cat.png")`. Values are never changed in silence.'),
        Entry("use_backend", "", '`use_backend("pillow")`, or for a block: `with use_backend("pillow"):`'),
        Entry("supported_backends", "", "The names that `use_backend` accepts."),
    ],
    "Size": [
        Entry("imresize", "imresize(img, (120, 120))"),
        Entry("imrescale", "imrescale(img, (150, 90))"),
        Entry("imresize_like", "imresize_like(img, img[:60, :60])"),
        Entry("imresize_to_multiple", "imresize_to_multiple(img, 32, size=(150, 100))"),
        Entry("rescale_size", "", "`rescale_size((400, 300), (1000, 600))` is `(800, 600)`."),
    ],
    "Geometry": [
        Entry("imflip", 'imflip(img, "horizontal")'),
        Entry("imflip_", 'imflip_(img.copy(), "vertical")'),
        Entry("imrotate", "imrotate(img, 30, auto_bound=True, border_value=255)"),
        Entry("imshear", "imshear(img, 0.3, border_value=255)"),
        Entry("imtranslate", "imtranslate(img, 60, border_value=255)"),
        Entry("imcrop", "imcrop(img, [60, -20, 200, 100], pad_fill=(0, 200, 255))"),
        Entry("impad", "impad(img, padding=20, pad_val=(0, 200, 255))"),
        Entry("impad_to_multiple", "impad_to_multiple(img, 64, pad_val=(0, 200, 255))"),
        Entry("cutout", "cutout(img, (60, 80), rng=np.random.default_rng(2))"),
        Entry("bbox_clip", "", "Clips boxes to an image."),
        Entry("bbox_scaling", "", "Scales boxes about their centres."),
    ],
    "Colors": [
        Entry("bgr2gray rgb2gray", "bgr2gray(img)"),
        Entry("gray2bgr gray2rgb", "gray2bgr(bgr2gray(img))"),
        Entry("bgr2rgb rgb2bgr", "bgr2rgb(img)"),
        Entry("bgr2hsv hsv2bgr", "bgr2hsv(img)", "The picture shows hue, saturation and value as if they were blue, green and red."),
        Entry("bgr2hls hls2bgr", "bgr2hls(img)"),
        Entry("rgb2ycbcr bgr2ycbcr ycbcr2rgb ycbcr2bgr", "bgr2ycbcr(img)"),
        Entry("imconvert", 'imconvert(img, "bgr", "lab")', "Any conversion of OpenCV."),
        Entry("adjust_color", "adjust_color(img, 2)"),
        Entry("adjust_hue", "adjust_hue(img, 0.3)"),
        Entry("adjust_lighting", "adjust_lighting(img, EIGENVALUES, EIGENVECTORS, 2.0, to_rgb=False, rng=np.random.default_rng(0))",
              "The result is float32 and is not clipped."),
    ],
    "Values": [
        Entry("adjust_brightness", "adjust_brightness(img, 1.6)"),
        Entry("adjust_contrast", "adjust_contrast(img, 1.8)"),
        Entry("adjust_sharpness", "adjust_sharpness(img, 4)"),
        Entry("auto_contrast", "auto_contrast(adjust_contrast(img, 0.5), 1)"),
        Entry("imequalize", "imequalize(img)"),
        Entry("clahe", "clahe(bgr2gray(img), 4)"),
        Entry("iminvert", "iminvert(img)"),
        Entry("posterize", "posterize(img, 2)"),
        Entry("solarize", "solarize(img, 128)"),
        Entry("lut_transform", "lut_transform(img, SQUARED)"),
        Entry("imnormalize imnormalize_", "imnormalize(img, MEAN, STD) * 50 + 128",
              "The result is float32 and RGB; the picture shows it times 50 plus 128."),
        Entry("imdenormalize", "imdenormalize(imnormalize(img, MEAN, STD), MEAN, STD)"),
        Entry("tensor2imgs", "", "Converts a batch of normalized tensors back to images."),
        Entry("quantize dequantize", "", "Quantize an array to levels and back."),
    ],
    "Drawing and showing": [
        Entry("imshow_bboxes", 'imshow_bboxes(img, BOXES, ["green"], thickness=2, show=False)'),
        Entry("imshow_det_bboxes", 'imshow_det_bboxes(img, SCORED, LABELS, ["eye", "nose"], font_scale=0.4, show=False)'),
        Entry("imshow", "", "Shows an image in a window. Without a window system it writes a picture and says where."),
        Entry("Color color_val", "", '`color_val("green")` is `(0, 255, 0)`, in the order BGR.'),
    ],
    "Optical flow": [
        Entry("flow2rgb", "flow2rgb(FLOW)[..., ::-1] * 255"),
        Entry("make_color_wheel", "np.repeat(make_color_wheel()[None, :, ::-1] * 255, 20, axis=0).repeat(4, axis=1)"),
        Entry("flow_warp", 'flow_warp(img, FLOW * 6, interpolate_mode="bilinear")'),
        Entry("flowshow", "", "Shows a flow as `imshow` shows an image."),
        Entry("flowread flowwrite", "", "Flow files (.flo), or quantized in an image."),
        Entry("flow_from_bytes sparse_flow_from_bytes", "", "The content of a .flo file, and of a KITTI file."),
        Entry("quantize_flow dequantize_flow", "", "Flow as two images of uint8, and back."),
    ],
    "Videos": [
        Entry("VideoReader", "", "A video as a sequence of frames: `len`, indexing, slices, iteration, `cvt2frames`."),
        Entry("frames2video", "", "Writes the images of a folder as a video."),
        Entry("cut_video concat_video resize_video convert_video", "", "Edit videos with ffmpeg, which has to be installed."),
        Entry("Cache", "", "The frames that a `VideoReader` keeps."),
    ],
}  # fmt: skip


def photograph() -> Any:
    """Return a photograph of a cat, (160, 240, 3) BGR, from scikit-image."""
    from skimage import data

    return cv2.resize(data.chelsea()[..., ::-1], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def variables(img: Any) -> dict[str, Any]:
    """Return the names that the code of the entries uses."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    center = np.hypot(x - WIDTH / 2, y - HEIGHT / 2) + 1
    names = {name for entries in SECTIONS.values() for entry in entries for name in entry.names.split()}
    return {
        **{name: getattr(cfgtrain, name) for name in names},
        "np": np,
        "img": img,
        "MEAN": [123.675, 116.28, 103.53],
        "STD": [58.395, 57.12, 57.375],
        "SQUARED": (np.arange(256) ** 2 // 255).astype(np.uint8),
        "EIGENVALUES": np.array([55.46, 4.794, 1.148]),
        "EIGENVECTORS": np.array(
            [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
        ),
        "BOXES": np.array([[65, 42, 100, 72], [133, 40, 168, 70]]),
        "SCORED": np.array([[65, 42, 100, 72, 0.97], [133, 40, 168, 70, 0.95], [108, 80, 134, 100, 0.8]]),
        "LABELS": np.array([0, 0, 1]),
        "FLOW": np.stack([-(y - HEIGHT / 2), x - WIDTH / 2], -1) / center[..., None] * 3,
    }


def side_by_side(before: Any, after: Any) -> Any:
    """Return two images on one canvas."""
    after = np.asarray(after).clip(0, 255).round().astype(np.uint8)
    after = after if after.ndim == 3 else np.repeat(after[..., None], 3, axis=2)
    height = max(before.shape[0], after.shape[0])
    canvas = np.full((height, before.shape[1] + GAP + after.shape[1], 3), BACKGROUND, np.uint8)
    canvas[: before.shape[0], : before.shape[1]] = before
    canvas[: after.shape[0], before.shape[1] + GAP :] = after
    return canvas


def summary(name: str) -> str:
    """Return the first sentence of the docstring of a function."""
    text = inspect.getdoc(getattr(cfgtrain, name)) or ""
    return text.split("\n\n")[0].replace("\n", " ").replace("``", "`")


def main() -> int:
    """Write the page and its pictures."""
    PICTURES.mkdir(exist_ok=True)
    img = photograph()
    cv2.imwrite("/tmp/cat.png", img)  # noqa: S108
    names = variables(img)
    names["imread"] = lambda path, **kwargs: cfgtrain.imread(f"/tmp/{path}", **kwargs)  # noqa: S108
    lines = [
        "# Image functions",
        "",
        "All functions are importable from `cfgtrain` and have the names and signatures of MMCV 1.x. Images are NumPy",
        "arrays (H, W) or (H, W, C) with channels in the order BGR; sizes are (w, h) and shapes (h, w), in pixels.",
        "A function never changes its input, except the variants that end with `_`. The docstrings describe the",
        "arguments, dtypes and errors. The pictures show `img` and the result of the code.",
        "This page is written by `scripts/image_gallery.py`.",
    ]
    for section, entries in SECTIONS.items():
        lines += ["", f"## {section}"]
        for entry in entries:
            functions = entry.names.split()
            lines += ["", f"### {', '.join(f'`{name}`' for name in functions)}", ""]
            first = getattr(cfgtrain, functions[0])
            text = [summary(functions[0])] if callable(first) else []
            lines += [" ".join([*text, entry.note]).strip()]
            if entry.code:
                picture = PICTURES / f"{functions[0]}.jpg"
                result = eval(entry.code, dict(names))  # noqa: S307  # the code is in this file
                cv2.imwrite(str(picture), side_by_side(img, result), [cv2.IMWRITE_JPEG_QUALITY, 85])
                lines += [
                    "",
                    f"```\n{entry.code}\n```",
                    "",
                    f"![img, and the result](pictures/{picture.name})",
                ]
    PAGE.write_text("\n".join(lines) + "\n")
    print(f"{PAGE.relative_to(ROOT)}: {sum(map(len, SECTIONS.values()))} entries")
    return 0


if __name__ == "__main__":
    sys.exit(main())
