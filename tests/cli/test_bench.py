"""Who types ``looksay bench`` learns how fast the model is here, on images of theirs."""

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


def test_bench_prints_a_table_and_a_verdict(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    result = run(
        "bench", EXAMPLES, tmp_path, "--seconds", 0.1, "--batch", 1, "--batch", 2, "--threads", 1, "--num-beams", 2
    )
    assert result.exit_code == 0
    assert "broken.jpg" in result.stderr
    assert "4 images, beam 2" in result.stdout
    whole, *parts = (
        float(re.findall(rf"^ *{name} +(\S+)", result.stdout, re.M)[0]) for name in ("whole", *benchmark.PARTS)
    )
    assert 0 < max(parts) < whole <= sum(parts) * 2
    row = re.search(r"^1 thread +(\S+) +(\S+)$", result.stdout, re.M)
    assert row
    best = max(map(float, row.groups()))
    assert f"Best: {best} images a second, with 1 thread and batches of" in result.stdout
    assert result.stdout.rstrip().endswith(("hours.", "minutes.", "days."))


def test_bench_without_images_draws_one_and_with_unreadable_ones_says_so(tmp_path: Path) -> None:
    assert "; 1 image, beam 3" in run("bench", "--seconds", 0.1, "--batch", 1, "--threads", 1).stdout
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    result = run("bench", tmp_path)
    assert result.exit_code == 2
    assert "can be read" in result.stderr


def test_latency_counts_every_image_and_adds_up() -> None:
    captioner = looksay.load()
    found = benchmark.latency(captioner, [EXAMPLES / "boats.jpg", EXAMPLES / "alps.jpg"], captioner.options({}), 0.0)
    assert found.images == 2
    assert found.whole[0] == pytest.approx(sum(times[0] for times in found.parts.values()), rel=0.5)
    assert found.words > 3


@pytest.mark.parametrize("device", ["cuda", "coreml", "directml", "openvino"])
def test_a_device_that_this_wheel_lacks_is_refused_with_the_wheel_that_has_it(device: str) -> None:
    if len(onnxruntime.get_available_providers()) > 2:
        pytest.skip("this ONNX Runtime has more devices than the plain wheel")
    result = run(EXAMPLES / "boats.jpg", "--device", device)
    assert result.exit_code == 2
    assert f"device is '{device}'" in result.stderr
    assert "pip install onnxruntime" in result.stderr
    with pytest.raises(looksay.OptionError, match="it must be cpu, cuda"):
        looksay.load(device="tpu")  # type: ignore[arg-type]
