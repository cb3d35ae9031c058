"""Axes and levels to choose from: OME-TIFF, OME-Zarr; what microscopes and scanners say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from click.testing import CliRunner

from liif_cli.cli import liif
from liif_cli.errors import InputError
from liif_cli.geometry.window import Window
from liif_cli.io import exporter_for, open_source
from liif_cli.io.base import OutputInfo, View
from tests.io.conftest import ArrayReader, make_picture

STACK = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 32, 40), dtype=np.uint8)


def ome_tiff(path: Path) -> Path:
    metadata = {
        "axes": "TCZYX",
        "Channel": {"Name": ["DAPI", "GFP", "RFP"]},
        "PhysicalSizeX": 0.5,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": 250,
        "PhysicalSizeYUnit": "nm",
    }
    tifffile.imwrite(path, STACK, metadata=metadata, photometric="minisblack")
    return path


def ome_zarr(path: Path, version: str = "0.5", levels: int = 2) -> Path:
    group = zarr.open_group(str(path), mode="w", zarr_format=3 if version == "0.5" else 2)
    for level in range(levels):
        step = 2**level
        group.create_array(str(level), data=STACK[..., ::step, ::step], chunks=(1, 1, 1, 16, 16))
    axes = [
        {"name": name, "type": kind}
        for name, kind in zip("tcz", ("time", "channel", "space"), strict=False)
    ]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [1, 1, 2, 0.25 * 2**level, 0.5 * 2**level]}
            ],
        }
        for level in range(levels)
    ]
    image = {"axes": axes, "datasets": datasets}
    channels = [{"label": label} for label in ("DAPI", "GFP", "RFP")]
    ome = {"multiscales": [image], "omero": {"channels": channels}}
    if version == "0.5":
        group.attrs["ome"] = {"version": "0.5", **ome}
    else:
        group.attrs.update(ome)
    return path


def read(path: Path, view: View | int | None = None) -> np.ndarray:
    source = open_source(path, view)
    return source.read(Window(0, 0, source.info.height, source.info.width))


def test_planes_of_an_ome_tiff(tmp_path: Path) -> None:
    path = ome_tiff(tmp_path / "a.ome.tif")
    info = open_source(path).info
    assert info.axes == (("t", 2), ("c", 3), ("z", 4))
    assert info.pages == 24
    assert info.pixel_size == (0.5, 0.25)
    found = read(path, View(select=(("c", 2), ("z", 3))))
    np.testing.assert_array_equal(found[..., 0], STACK[0, 2, 3])
    found = read(path, View(select=(("t", 1),)))
    np.testing.assert_array_equal(found[..., 0], STACK[1, 0, 0])
    np.testing.assert_array_equal(read(path, 24)[..., 0], STACK[1, 2, 3])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_planes_of_an_ome_zarr(tmp_path: Path, version: str) -> None:
    path = ome_zarr(tmp_path / "a.zarr", version)
    info = open_source(path).info
    assert (info.channels, info.pages, info.axes) == (3, 8, (("t", 2), ("z", 4)))
    assert info.band_names == ("DAPI", "GFP", "RFP")
    assert info.pixel_size == (0.5, 0.25)
    np.testing.assert_array_equal(read(path), STACK[0, :, 0].transpose(1, 2, 0))
    np.testing.assert_array_equal(read(path, 8), STACK[1, :, 3].transpose(1, 2, 0))
    found = read(path, View(select=(("z", 2),)))
    np.testing.assert_array_equal(found, STACK[0, :, 2].transpose(1, 2, 0))
    found = read(path, View(select=(("c", 1), ("t", 1), ("z", 2))))
    np.testing.assert_array_equal(found[..., 0], STACK[1, 1, 2])


def test_levels_of_an_ome_zarr(tmp_path: Path) -> None:
    path = ome_zarr(tmp_path / "a.zarr")
    source = open_source(path, View(level=1))
    assert source.info.shape == (16, 20, 3)
    assert source.info.pixel_size == (1.0, 0.5)
    found = read(path, View(level=1))
    np.testing.assert_array_equal(found, STACK[0, :, 0, ::2, ::2].transpose(1, 2, 0))


def test_levels_of_a_tiff(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = make_picture(700, 900, 3)
    exporter_for("tiff").export(ArrayReader(pixels), path, OutputInfo())
    source = open_source(path, View(level=1))
    assert source.info.shape == (350, 450, 3)
    expected = pixels.reshape(350, 2, 450, 2, 3).mean(axis=(1, 3))
    assert np.abs(read(path, View(level=1)) - expected).max() <= 0.5


def test_levels_of_our_own_store(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    exporter_for("zarr").export(ArrayReader(make_picture(700, 900, 3)), path, OutputInfo())
    assert open_source(path, View(level=1)).info.shape == (350, 450, 3)
    with pytest.raises(InputError, match="no level 9"):
        open_source(path, View(level=9))


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (View(select=(("q", 0),)), "no q=0.*t of 2, c of 3, z of 4"),
        (View(select=(("z", 4),)), "no z=4.*z of 4"),
        (View(level=3), "no level 3.*levels 0 to 0"),
        (View(page=25), "page 25"),
    ],
)
def test_what_is_not_in_an_ome_tiff(tmp_path: Path, view: View, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_source(ome_tiff(tmp_path / "a.ome.tif"), view)


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (View(select=(("q", 0),)), "no q=0.*t of 2, z of 4"),
        (View(select=(("c", 3),)), "no c=3.*c of 3"),
        (View(level=2), "no level 2.*levels 0 to 1"),
        (View(page=9), "page 9"),
    ],
)
def test_what_is_not_in_an_ome_zarr(tmp_path: Path, view: View, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_source(ome_zarr(tmp_path / "a.zarr"), view)


def test_formats_without_axes_say_so(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "a.png"
    Image.new("L", (8, 8)).save(path)
    with pytest.raises(InputError, match=r"--select.*TIFF or Zarr"):
        open_source(path, View(select=(("z", 1),)))
    with pytest.raises(InputError, match=r"--level.*TIFF or Zarr"):
        open_source(path, View(level=1))
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[0, 0])
    with pytest.raises(InputError, match=r"no axes.*OME-TIFF.*--page"):
        open_source(path, View(select=(("z", 1),)))


def test_a_slide_says_its_pixel_size(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    text = (
        "Aperio Image Library v1\r\n900x700 [0,0 900x700] (256x256) |AppMag = 40|MPP = 0.2520|x = 1"
    )
    with tifffile.TiffWriter(path) as tiff:
        options = {"photometric": "rgb", "tile": (256, 256), "metadata": None, "software": False}
        tiff.write(make_picture(700, 900, 3), description=text, **options)
        small = {"photometric": "rgb", "metadata": None, "software": False}
        tiff.write(make_picture(70, 90, 3), description="Aperio thumbnail", **small)
        tiff.write(make_picture(350, 450, 3), description="Aperio level", **options)
    info = open_source(path).info
    assert info.pixel_size == (0.252, 0.252)
    assert info.by_window
    assert info.pages == 1


# --- through the command


def run(*args: object) -> str:
    done = CliRunner().invoke(liif, [str(arg) for arg in args])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_plane_of_a_stack_becomes_an_ome_tiff(tmp_path: Path) -> None:
    path = ome_tiff(tmp_path / "a.ome.tif")
    out = tmp_path / "out"
    command = ("upscale", path, out, "--scale", 2, "--model", "nearest")
    run(*command, "--select", "c=1,z=2")
    with tifffile.TiffFile(out / "a.ome.tif") as file:
        assert file.is_ome
        expected = np.repeat(np.repeat(STACK[0, 1, 2], 2, 0), 2, 1)
        np.testing.assert_array_equal(file.asarray(), expected)
        assert 'PhysicalSizeX="0.25"' in file.ome_metadata
        assert 'PhysicalSizeY="0.125"' in file.ome_metadata
        x = file.pages.first.tags["XResolution"].value
        assert x[0] / x[1] == pytest.approx(25400 / 0.25)
    # another plane is another result
    done = CliRunner().invoke(liif, [*map(str, command), "--select", "c=2"])
    assert done.exit_code == 1
    assert "--overwrite" in done.output


def test_the_first_plane_is_said(tmp_path: Path) -> None:
    path = ome_tiff(tmp_path / "a.ome.tif")
    said = run("upscale", path, tmp_path / "b.png", "--scale", 2, "--model", "nearest")
    assert "the first of 24 pages (t of 2, c of 3, z of 4); --select or --page" in said


def test_an_ome_zarr_keeps_names_and_sizes(tmp_path: Path) -> None:
    path = ome_zarr(tmp_path / "a.zarr")
    out = tmp_path / "out.zarr"
    run("upscale", path, out, "--scale", 4, "--model", "bicubic", "--select", "z=1")
    ome = zarr.open_group(str(out), mode="r").attrs["ome"]
    (image,) = ome["multiscales"]
    scale = image["datasets"][0]["coordinateTransformations"][0]["scale"]
    assert scale == [1.0, 0.0625, 0.125]
    assert [axis.get("unit") for axis in image["axes"]] == [None, "micrometer", "micrometer"]
    assert [channel["label"] for channel in ome["omero"]["channels"]] == ["DAPI", "GFP", "RFP"]
    assert open_source(out).info.pixel_size == (0.125, 0.0625)
    run("export", out, tmp_path / "again.ome.tif")
    with tifffile.TiffFile(tmp_path / "again.ome.tif") as file:
        assert 'PhysicalSizeX="0.125"' in file.ome_metadata


@pytest.mark.parametrize("text", ["c", "c=", "=1", "c=1,c=2", "c=-1", "3=1"])
def test_a_selection_that_is_none(tmp_path: Path, text: str) -> None:
    path = ome_tiff(tmp_path / "a.ome.tif")
    command = ["upscale", str(path), str(tmp_path / "o"), "--scale", "2", "--select", text]
    done = CliRunner().invoke(liif, command)
    assert done.exit_code == 2
    assert "--select c=0,z=3" in done.output


def test_page_and_select_exclude_each_other(tmp_path: Path) -> None:
    path = ome_tiff(tmp_path / "a.ome.tif")
    command = ["upscale", str(path), str(tmp_path / "o"), "--scale", "2", "--select", "z=1"]
    done = CliRunner().invoke(liif, [*command, "--page", "2"])
    assert done.exit_code == 2
    assert "leave one out" in done.output


def test_wide_samples_are_warned_of_once(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "ab":
        tifffile.imwrite(folder / f"{name}.tif", STACK[0, 0, 0].astype(np.int32))
    said = run("upscale", folder, tmp_path / "out", "--scale", 2, "--model", "bicubic")
    assert said.count("some 24 bits are kept") == 1


def test_broken_and_second_exif_are_said(tmp_path: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x010F] = "Ca"
    path = tmp_path / "a.jpg"
    Image.new("RGB", (8, 8)).save(path, exif=exif.tobytes())
    data = path.read_bytes()
    at = data.index(b"\xff\xe1")
    segment = data[at : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")]
    path.write_bytes(
        data[:at] + segment + segment.replace(b"Ca", b"Cb") + data[at + len(segment) :]
    )
    command = ("upscale", path, tmp_path / "b.jpg", "--scale", 2, "--model", "nearest")
    assert "second EXIF block is dropped" in run(*command)
    path.write_bytes(data.replace(b"MM\0*\0\0\0\x08", b"MM\0*\0\0\xff\x08"))
    assert "its EXIF is dropped, which is damaged" in run(*command, "--overwrite")
