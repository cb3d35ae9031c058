"""What does a person wait for with liif, and with what they would take instead?

One photo, one scale, one machine, one run: the whole command ``liif upscale``, and the same pixels
through the networks of other upscalers as the package ``spandrel`` builds them (weights do not
change the time, so that they are random here), in plain torch, in tiles of 512 with a border of 16,
and by libvips and OpenCV. Printed are seconds per megapixel of input and of output, what that is
against liif, and the peak memory of a process that does no more than that. Networks are timed on
one tile of the photo, or a few, after one that does not count: some would take an hour. Their start
is not in their time; that of liif and of the libraries is.

    pip install spandrel
    python -m benchmarks.peers [--photo FILE] [--size 1024x768] [--scales 2,4] [--tiles 1]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import types
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.end_to_end import measure
from liif_cli.bench.timed import process_peak
from liif_cli.models.loader import DEFAULT_MODEL

TILE, BORDER = 512, 16
PEERS = {
    # name: (module of spandrel.architectures, class, arguments by scale)
    "RRDBNet (Real-ESRGAN plus)": (
        "ESRGAN",
        "RRDBNet",
        # x2plus is the network of x4 on pixels that are folded into channels
        lambda s: {"scale": 4, "shuffle_factor": 2, "in_nc": 12} if s == 2 else {"scale": s},
    ),
    "SRVGGNetCompact (general-x4v3)": ("Compact", "SRVGGNetCompact", lambda s: {"upscale": s}),
    "SwinIR light": (
        "SwinIR",
        "SwinIR",
        lambda s: {
            "upscale": s,
            "img_size": 64,
            "window_size": 8,
            "depths": [6, 6, 6, 6],
            "embed_dim": 60,
            "num_heads": [6, 6, 6, 6],
            "mlp_ratio": 2,
            "upsampler": "pixelshuffledirect",
            "resi_connection": "1conv",
        },
    ),
    "SPAN": (
        "SPAN",
        "SPAN",
        lambda s: {"num_in_ch": 3, "num_out_ch": 3, "upscale": s, "feature_channels": 48},
    ),
}
LIBRARIES = {
    "libvips, cubic": """
import sys, pyvips
image = pyvips.Image.new_from_file(sys.argv[1])
image.resize(int(sys.argv[3]), kernel="cubic").write_to_file(sys.argv[2])
""",
    "OpenCV, cubic": """
import sys, cv2
image = cv2.imread(sys.argv[1])
size = [side * int(sys.argv[3]) for side in image.shape[1::-1]]
cv2.imwrite(sys.argv[2], cv2.resize(image, size, interpolation=cv2.INTER_CUBIC))
""",
}
"""Whole programs in Python."""
COMPACT = {"num_feat": 64, "num_conv": 32}
CHILD = "--as-peer"


def main() -> None:
    """Print a table for each scale."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--size", default="1024x768")
    parser.add_argument("--scales", default="2,4")
    parser.add_argument("--tiles", type=int, default=1)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder, "photo.png")
        cv2.imwrite(str(photo), picture(options.photo, height, width))
        for scale in map(int, options.scales.split(",")):
            report(photo, scale, options.tiles, options.model, Path(folder))


def picture(path: Path | None, height: int, width: int) -> np.ndarray:
    """BGR (height, width, 3) of a photo, or of smooth noise where none is given."""
    if path is None:
        small = np.random.default_rng(0).random((height // 8, width // 8, 3), np.float32)
        found = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        return np.clip(np.round(found * 255), 0, 255).astype(np.uint8)
    found = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if found is None:
        sys.exit(f"cannot read {path}")
    return cv2.resize(found, (width, height), interpolation=cv2.INTER_AREA)


def report(photo: Path, scale: int, tiles: int, model: str, folder: Path) -> None:
    """Print one scale's table."""
    height, width = cv2.imread(str(photo)).shape[:2]
    pixels = height * width / 1e6
    output = folder / f"out-{scale}.png"
    command = [sys.executable, "-m", "liif_cli", "upscale", str(photo), str(output)]
    command += ["--scale", str(scale), "--model", model, "--overwrite", "-q"]
    measure(command)  # the first run may compile
    own = measure(command)
    rows = [("liif, the whole command", own.wall / pixels, own.peak / 2**20)]
    for name in PEERS:
        found = child(name, photo, scale, tiles)
        rows.append((name, found["seconds"] / found["mpx"], found["peak"] / 2**20))
    for name, script in LIBRARIES.items():
        target = str(folder / "library.png")
        cost = measure([sys.executable, "-c", script, str(photo), target, str(scale)])
        rows.append((name, cost.wall / pixels, cost.peak / 2**20))
    print(f"\nx{scale} of {width}x{height}, {psutil.cpu_count()} cores")
    print(f"{'':34}{'s / Mpx in':>12}{'s / Mpx out':>13}{'against liif':>14}{'MiB':>8}")
    for name, seconds, peak in rows:
        ratio = seconds / rows[0][1]
        print(f"{name:34}{seconds:12.2f}{seconds / scale**2:13.3f}{ratio:14.2f}{peak:8.0f}")
    sys.stdout.flush()


def child(name: str, photo: Path, scale: int, tiles: int) -> dict[str, float]:
    """One peer in a process of its own, for its memory."""
    arguments = [CHILD, name, str(photo), str(scale), str(tiles)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    if done.returncode:
        sys.exit(f"{name}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def as_peer(name: str, photo: Path, scale: int, tiles: int) -> dict[str, float]:
    """Time one peer: seconds, megapixels of input, peak bytes."""
    seconds, mpx = network_seconds(name, photo, scale, tiles)
    return {"seconds": seconds, "mpx": mpx, "peak": process_peak()}


def network_seconds(name: str, photo: Path, scale: int, tiles: int) -> tuple[float, float]:
    """Seconds, and megapixels of input that they were for, of tiles with their borders."""
    import torch

    network = build(name, scale)
    pixels = cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    side = min(TILE, *pixels.shape[:2])
    piece = image[..., :side, :side]
    padded = torch.nn.functional.pad(piece, [BORDER] * 4, mode="reflect")
    with torch.inference_mode():
        network(padded[..., :64, :64])
        begun = time.perf_counter()
        for _ in range(tiles):
            found = network(padded)[..., BORDER * scale : -BORDER * scale, :]
            found.mul(255).round_().clamp_(0, 255).byte()
        return time.perf_counter() - begun, tiles * side * side / 1e6


def build(name: str, scale: int) -> Any:
    """A network of ``spandrel`` with random weights, in evaluation mode."""
    # a part of the package that is not used here wants a torchvision built for the same torch
    try:
        import_module("torchvision")
    except Exception:  # of any kind, where it was built for another torch
        for module in (
            "torchvision",
            "torchvision.transforms",
            "torchvision.transforms.functional",
        ):
            sys.modules.pop(module, None)
            sys.modules[module] = Stand(module)
    module, kind, arguments = PEERS[name]
    folder = f"spandrel.architectures.{module}"
    package = import_module(folder)
    for part in (kind, module, "RRDB", "SRVGG", "span"):
        if hasattr(package, kind):
            break
        try:
            package = import_module(f"{folder}.__arch.{part}")
        except ImportError:
            continue
    network = getattr(package, kind)(**arguments(scale), **(COMPACT if module == "Compact" else {}))
    return network.eval().requires_grad_(False)


class Stand(types.ModuleType):
    """Has every name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return types.SimpleNamespace


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        _, _, peer, path, factor, count = sys.argv
        print(json.dumps(as_peer(peer, Path(path), int(factor), int(count))))
    else:
        main()
