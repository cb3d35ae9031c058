"""A bench of several inputs: order, ledger, what networks are told, gray images, older results."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from liif_cli.bench.inputs import degrade, parse_input
from liif_cli.bench.job import Bench, BenchSpec
from liif_cli.bench.ledger import Ledger
from liif_cli.bench.protocol import make_pair, score
from liif_cli.bench.results import BenchReport, ImageScore
from liif_cli.engine.sampling import render_array
from liif_cli.errors import UsageError
from liif_cli.models import checkpoint
from liif_cli.models.loader import load_model
from liif_cli.models.model import Model, ModelSpec, Part
from tests.bench.test_job import MODEL, picture, run, spec_of, write

INPUTS = ("clean", "jpeg50", "noise5")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    write(folder / "a.png", picture(96, 120))
    write(folder / "b.png", picture(100, 90, seed=1))
    return folder


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A small network whose answer depends on the level of loss that it is told."""
    torch.manual_seed(3)
    encoder = Part("edsr", {"n_resblocks": 2, "n_feats": 8, "cleanup": True})
    decoder = Part("lmliif", {"latent_hidden": [24], "depth": 2, "skip": "bilinear"})
    model = Model(ModelSpec(encoder=encoder, decoder=decoder)).eval().requires_grad_(False)
    for name, value in model.named_parameters():
        if ".told." in name:
            value.copy_(torch.randn_like(value) * 0.3)
    path = tmp_path / "told.safetensors"
    checkpoint.save(model, {}, path)
    return path


def by_input(report: BenchReport, **wanted: object) -> dict[str, ImageScore]:
    return {
        score.input: score
        for score in report.scores
        if all(getattr(score, name) == value for name, value in wanted.items())
    }


def test_order_levels_and_json(photos: Path) -> None:
    spec = spec_of(photos, scales=(2.0,), inputs=INPUTS)
    report = run(spec).report
    assert [(s.image, s.input, s.method) for s in report.scores] == [
        (image, name, method)
        for image in ("a", "b")
        for name in INPUTS
        for method in (MODEL, "bicubic")
    ]
    assert report.inputs == list(INPUTS)
    levels = {name: s.cleanup for name, s in by_input(report, image="a", method=MODEL).items()}
    assert levels == {"clean": 0, "jpeg50": 50, "noise5": 0}
    assert BenchReport.from_json(json.loads(json.dumps(report.to_json()))) == report
    # the clean figures are those of a run without other inputs
    clean = run(replace(spec, inputs=("clean",))).report
    kept = [s for s in report.scores if s.input == "clean"]
    assert [(s.image, s.method, s.psnr, s.ssim) for s in kept] == [
        (s.image, s.method, s.psnr, s.ssim) for s in clean.scores
    ]
    mean, alone = (one.mean("photos", MODEL, 2.0) for one in (report, clean))
    assert (mean.psnr, mean.ssim, mean.count) == (alone.psnr, alone.ssim, 2)


def test_scores_are_those_of_the_degraded_image(photos: Path) -> None:
    report = run(spec_of(photos, scales=(2.0,), inputs=INPUTS)).report
    hr = cv2.imread(str(photos / "a.png"))[:, :, ::-1]
    model = load_model(MODEL, torch.device("cpu")).model
    for name, found in by_input(report, image="a", method=MODEL).items():
        pair = degrade(make_pair(hr, 2.0, "div2k"), parse_input(name), "a", 2.0)
        colours = render_array(model.told(pair.cleanup), pair.lr, pair.hr.shape[:2])
        assert found.psnr == pytest.approx(score(colours, pair.hr, 2.0, "div2k")[0], abs=1e-4)
    psnr = [found.psnr for found in by_input(report, image="a", method="bicubic").values()]
    assert len(set(psnr)) == 3


def test_networks_are_told_the_level_of_the_file(photos: Path, told: Path) -> None:
    name = str(told)
    methods = (name, f"{name}@blind", f"{name}@cleanup50", f"{name}@cleanup0")
    report = run(spec_of(photos, scales=(2.0,), methods=methods, inputs=INPUTS)).report
    found = {(s.input, s.method): s.psnr for s in report.scores if s.image == "a"}
    for lossless in ("clean", "noise5"):
        assert found[lossless, "told"] == found[lossless, "told@blind"]
        assert found[lossless, "told"] != found[lossless, "told@cleanup50"]
    assert found["jpeg50", "told"] == found["jpeg50", "told@cleanup50"]
    assert found["jpeg50", "told"] != found["jpeg50", "told@blind"]
    assert all(found[name, "told@blind"] == found[name, "told@cleanup0"] for name in report.inputs)
    assert len({method.digest for method in report.methods}) == 4


def test_models_that_cannot_be_told_are_refused_by_name(photos: Path) -> None:
    for variant in ("blind", "cleanup30"):
        with pytest.raises(UsageError, match=f"edsr-small-liif@{variant}.*how lossy"):
            Bench(spec_of(photos, methods=(f"edsr-small-liif@{variant}",)))
    with pytest.raises(UsageError, match="@cleanup0 to @cleanup100"):
        Bench(spec_of(photos, methods=(f"{MODEL}@cleanup101",)))
    with pytest.raises(UsageError, match="network"):
        Bench(spec_of(photos, methods=("bicubic@blind",)))
    with pytest.raises(UsageError, match="did you mean 'jpeg85'"):
        Bench(spec_of(photos, inputs=("jpg85",)))


class Watched(Bench):
    """Notes the images that it reads."""

    def __init__(self, spec: BenchSpec) -> None:
        self.asked: list[str] = []
        super().__init__(spec)

    def _pair(self, entry, scale, image):  # type: ignore[no-untyped-def]
        self.asked.append(image.name)
        return super()._pair(entry, scale, image)


def test_a_second_run_goes_on_input_by_input(photos: Path, tmp_path: Path) -> None:
    spec = spec_of(photos, scales=(2.0,), methods=("bicubic",), inputs=("clean", "noise5"))
    ledger = tmp_path / "out" / "results.jsonl"
    spec = replace(spec, out=tmp_path / "out")
    first = run(spec).report
    lines = ledger.read_bytes().splitlines(keepends=True)
    assert len(lines) == 4
    # "b" at noise5 is torn; another input is asked for
    ledger.write_bytes(b"".join(lines[:3]) + lines[3][:-20])
    bench = Watched(replace(spec, inputs=(*spec.inputs, "jpeg50")))
    listened: list[str] = []
    bench._measure(lambda progress: listened.append(progress.what))
    assert listened[0] == "photos, x2, a, clean, bicubic"
    assert len(listened) == 6
    assert bench.asked == ["a", "b"]
    kept = [s for s in bench.scores if s.input != "jpeg50"]
    assert [(s.image, s.input, s.psnr) for s in kept] == [
        (s.image, s.input, s.psnr) for s in first.scores
    ]
    assert len(ledger.read_bytes().splitlines()) == 6
    again = Watched(replace(spec, inputs=("jpeg50", "noise5")))
    assert [s.input for s in again.run().report.scores] == ["jpeg50", "noise5"] * 2
    assert set(again.asked) <= {"a", "b"}, "for crops alone"


def test_results_from_before_there_were_inputs_are_clean(photos: Path, tmp_path: Path) -> None:
    spec = spec_of(photos, scales=(2.0,), methods=("bicubic",), out=tmp_path / "out")
    first = run(spec).report
    new = ("input", "cleanup", "chroma", "coloured")
    ledger = tmp_path / "out" / "results.jsonl"
    old = []
    for line in ledger.read_text().splitlines():
        entry = json.loads(line)
        assert set(entry["key"]) == {
            *("set", "image", "hr", "lr", "method", "scale", "cell", "protocol", "device"),
            *("precision", "threads", "liif"),
        }, "the key of a clean score is what it was"
        old.append(json.dumps({**entry, "score": without(entry["score"], new)}))
    ledger.write_text("\n".join(old) + "\n")
    assert len(Ledger(tmp_path / "out")) == 2
    bench = Watched(spec)
    bench._measure(lambda progress: None)
    assert bench.asked == []
    assert bench.scores == first.scores
    data = json.loads(json.dumps(first.to_json()))
    data["scores"] = [without(entry, new) for entry in data["scores"]]
    data["crops"] = [without(entry, ("input",)) for entry in data["crops"]]
    assert BenchReport.from_json(data) == first


def without(entry: dict[str, object], names: tuple[str, ...]) -> dict[str, object]:
    return {name: value for name, value in entry.items() if name not in names}


def test_chroma_is_of_the_networks_answer_on_images_without_colour(tmp_path: Path) -> None:
    # hard edges, which networks trained on photos colour
    plane = np.where(picture(96, 96)[:, :, 0] > 128, 255, 0).astype(np.uint8)
    write(tmp_path / "mixed" / "gray.png", plane)
    write(tmp_path / "mixed" / "colour.png", picture(96, 96, seed=2))
    spec = spec_of(tmp_path / "mixed", scales=(2.0,), inputs=("nearest", "nearest+jpeg50-420"))
    report = run(spec).report
    gray = np.repeat(plane[:, :, None], 3, axis=2)
    model = load_model(MODEL, torch.device("cpu")).model
    for name in report.inputs:
        pair = degrade(make_pair(gray, 2.0, "div2k"), parse_input(name), "gray", 2.0)
        colours = render_array(model, pair.lr, (96, 96))
        pixels = np.rint(np.clip(colours, 0, 1) * 255).astype(int)
        spread = pixels.max(axis=2) - pixels.min(axis=2)
        found = by_input(report, image="gray", method=MODEL)[name]
        assert found.chroma == pytest.approx(spread.max(), abs=1)
        assert found.coloured == pytest.approx((spread > 48).sum(), abs=2)
        assert found.chroma > 3
        # what is scored is what liif upscale writes: one gray plane
        mean = np.repeat(colours.mean(axis=2, keepdims=True), 3, axis=2)
        assert found.psnr == pytest.approx(score(mean, gray, 2.0, "div2k")[0], abs=1e-4)
        assert by_input(report, image="gray", method="bicubic")[name].chroma == 0
        assert by_input(report, image="colour", method=MODEL)[name].chroma is None
        assert report.mean("mixed", MODEL, 2.0, input=name).chroma == found.chroma
    # over luma papers score what comes out as RGB
    luma = run(replace(spec, inputs=("clean",), protocol="benchmark")).report
    colours = render_array(model, make_pair(gray, 2.0, "benchmark").lr, (96, 96))
    expected = score(colours, gray, 2.0, "benchmark")[0]
    found = by_input(luma, image="gray", method=MODEL)["clean"]
    assert found.psnr == pytest.approx(expected, abs=1e-4)


def test_crops_of_every_input(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    spec = spec_of(photos, scales=(4.0,), inputs=("clean", "jpeg50"), out=out)
    crops = run(spec).report.crops
    assert {(crop.image, crop.input) for crop in crops} == {
        (image, name) for image in "ab" for name in spec.inputs
    }
    files = [name for crop in crops for name in crop.files.values()]
    assert len(files) == len(set(files)) == 4 * 3
    for crop in crops:
        x, y, width, height = crop.box
        hr = cv2.imread(str(photos / f"{crop.image}.png"))[:, :, ::-1]
        pair = degrade(make_pair(hr, 4.0, "div2k"), parse_input(crop.input), crop.image, 4.0)
        model = load_model("bicubic", torch.device("cpu")).model
        colours = render_array(model, pair.lr, pair.hr.shape[:2])[y : y + height, x : x + width]
        shown = cv2.imread(str(out / crop.files["bicubic"]))[:, :, ::-1]
        np.testing.assert_allclose(shown, np.clip(colours, 0, 1) * 255, atol=0.51)
    # without bicubic the input is shown for itself
    alone = run(replace(spec, methods=(MODEL, "nearest"), out=tmp_path / "alone")).report.crops
    assert all(("input" in crop.files) == (crop.input == "jpeg50") for crop in alone)
    assert all("input" not in crop.psnr for crop in alone)
    assert run(spec).report.crops == crops
