"""What rendering with a model takes: bytes and multiplications, for the plan."""

from __future__ import annotations

from liif_cli.geometry.axis import AxisMap
from liif_cli.models.model import Model
from liif_cli.plan.spec import ModelCost


def model_cost(
    model: Model, rows: AxisMap, cols: AxisMap, *, tile: int, sample_bytes: int
) -> ModelCost:
    """What rendering at that scale takes.

    ``tile`` is the largest side of a query; ``sample_bytes`` is 4 for fp32, 2 for half precision.
    """
    scale = (rows.scale, cols.scale)
    decoder = model.render_decoder
    per_code, per_pixel = decoder.macs(scale)
    encoder = model.encoder
    encode_bytes = int(encoder.bytes_per_pixel()) if encoder is not None else 0  # type: ignore[operator]
    column_bytes = band_bytes = 0
    # of what is added up in float32, a lower precision saves nothing that is worth counting
    activation = sample_bytes
    if encoder is not None and next(encoder.parameters()).device.type == "cpu":
        column_bytes, band_bytes = getattr(encoder, "bands_bytes", lambda: (0, 0))()
        if hasattr(encoder, "in_float32"):
            activation = 4
    # the first layer's result in float32, beside feat
    feat_bytes = sample_bytes if activation == sample_bytes else sample_bytes + activation
    weights = sum(p.numel() for p in encoder.parameters()) if encoder is not None else 0
    return ModelCost(
        radius=(model.radius(rows), model.radius(cols)),
        encode_bytes=encode_bytes * activation // 4,
        feat_bytes=int(encoder.channels) * feat_bytes if encoder is not None else 0,  # type: ignore[arg-type]
        column_bytes=column_bytes * activation // 4,
        band_bytes=band_bytes,
        bands_only=getattr(encoder, "bands_only", False),
        latent_bytes=decoder.latent_bytes_per_code(scale) * sample_bytes // 4,
        encode_macs=weights + per_code,
        query_macs=per_pixel,
        query_bytes=decoder.query_bytes(min(tile, rows.n_out), min(tile, cols.n_out), scale),
        exact_tiling=decoder.exact_tiling,
        takes_cleanup=model.takes_cleanup,
    )
