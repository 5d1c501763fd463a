"""The bench command: latency, throughput and devices."""

from __future__ import annotations

import re
from pathlib import Path

import onnxruntime
import pytest
from click.testing import CliRunner, Result
from conftest import EXAMPLES

import looksay
from looksay.cli.main import main
from looksay.evaluation import benchmark


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_bench_prints_latency_rates_and_the_best_setting(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    result = run(
        "bench", EXAMPLES, tmp_path, "--seconds", 0.1, "--batch", 1, "--batch", 2, "--threads", 1, "--num-beams", 2
    )
    assert result.exit_code == 0
    assert "broken.jpg" in result.stderr
    assert "6 images, 2 beams" in result.stdout
    whole, *parts = (
        float(re.findall(rf"^ *{name} +(\S+)", result.stdout, re.M)[0]) for name in ("whole", *benchmark.PARTS)
    )
    assert 0 < max(parts) < whole <= sum(parts) * 2
    row = re.search(r"^1 thread +(\S+) +(\S+)$", result.stdout, re.M)
    assert row
    best = max(map(float, row.groups()))
    assert f"Best: {best} images a second, with 1 thread and batches of" in result.stdout
    assert result.stdout.rstrip().endswith(" hours.")


def test_bench_without_paths_draws_an_image_and_unreadable_images_are_an_error(tmp_path: Path) -> None:
    assert "; 1 image, 3 beams" in run("bench", "--seconds", 0.1, "--batch", 1, "--threads", 1).stdout
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    result = run("bench", tmp_path)
    assert result.exit_code == 2
    assert "can be read" in result.stderr


def test_every_part_of_the_latency_of_each_image_is_measured() -> None:
    captioner = looksay.load()
    sources = [EXAMPLES / "boats.jpg", EXAMPLES / "alps.jpg"]
    times, words = benchmark.latency(captioner, sources, captioner.options({}), 0.0)
    assert times.shape == (2, len(benchmark.PARTS))
    assert (times > 0).all()
    assert words > 3


@pytest.mark.parametrize("device", ["cuda", "coreml", "directml", "openvino"])
def test_a_missing_device_is_an_error_that_names_the_package(device: str) -> None:
    if len(onnxruntime.get_available_providers()) > 2:
        pytest.skip("this ONNX Runtime has more devices than the plain wheel")
    result = run(EXAMPLES / "boats.jpg", "--device", device)
    assert result.exit_code == 2
    assert f"device '{device}' cannot be used" in result.stderr
    assert "pip install onnxruntime" in result.stderr
    with pytest.raises(looksay.OptionError, match="it must be cpu, cuda"):
        looksay.load(device="tpu")  # type: ignore[arg-type]
