"""Speed of one photo against transformers' image-to-text pipeline: ``python benchmarks/peers.py``.

The peers are vit-gpt2 and BLIP-base in their public configurations, with random weights: speed does not depend on them.
All search with a beam of 3 for captions of exactly 11 words and an end. Needs ``pip install "transformers<5"``: later
ones have no such pipeline.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
from speed import milliseconds

import looksay
from looksay.runtime.bundle import ENCODER

PHOTO = str(Path(__file__).parent.parent / "examples" / "boats.jpg")
WORDS = 11
ROUNDS = 5


def vit_gpt2(folder: Path) -> None:
    """Write a model as ``nlpconnect/vit-gpt2-image-captioning``: ViT-base at 224 pixels, and the small GPT-2."""
    from tokenizers import Tokenizer, models
    from transformers import (
        GPT2Config,
        PreTrainedTokenizerFast,
        VisionEncoderDecoderConfig,
        VisionEncoderDecoderModel,
        ViTConfig,
        ViTImageProcessor,
    )

    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(ViTConfig(), GPT2Config())
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 50256, 50256, 50256
    VisionEncoderDecoderModel(config).save_pretrained(folder)
    ViTImageProcessor().save_pretrained(folder)
    words = {f"w{number}": number for number in range(50256)} | {"<|endoftext|>": 50256}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<|endoftext|>"))  # noqa: S106
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>").save_pretrained(folder)  # noqa: S106


def blip_base(folder: Path) -> None:
    """Write a model as ``Salesforce/blip-image-captioning-base``: ViT-base at 384 pixels, and a BERT-base."""
    from transformers import (
        BertTokenizerFast,
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
        BlipTextConfig,
        BlipVisionConfig,
    )

    config = BlipConfig.from_text_vision_configs(BlipTextConfig(num_attention_heads=12), BlipVisionConfig())
    BlipForConditionalGeneration(config).save_pretrained(folder)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = folder / "words.txt"
    words.write_text("\n".join([*special, *(f"w{number}" for number in range(30524 - len(special)))]))
    BlipProcessor(BlipImageProcessor(), BertTokenizerFast(str(words))).save_pretrained(folder)


PEERS: dict[str, Callable[[Path], None]] = {"vit-gpt2": vit_gpt2, "BLIP-base": blip_base}
CAPTION = f"p(photo, generate_kwargs=dict(num_beams=3, min_new_tokens={WORDS + 1}, max_new_tokens={WORDS + 1}))"
LOAD = "import sys; from transformers import pipeline; photo = sys.argv[2]; p = pipeline('image-to-text', sys.argv[1])"


# A small process starts the one that is measured: until it has begun, a child counts its parent's memory as its own.
WATCH = """
import json, os, subprocess, sys, time
start = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, used = os.wait4(child.pid, 0)
print(json.dumps([time.perf_counter() - start, used.ru_maxrss / 1024]))
sys.exit(status != 0)
"""


def process(command: list[str]) -> tuple[float, float]:
    """Return the median wall time of a command in seconds, and its peak memory in MB."""
    found = [
        json.loads(subprocess.run([sys.executable, "-c", WATCH, *command], check=True, capture_output=True).stdout)
        for _ in range(ROUNDS)
    ]
    return statistics.median(taken for taken, _ in found), max(peak for _, peak in found)


def tell(what: str, seconds: float, ours: float, **more: Any) -> None:
    """Print one JSON object a line."""
    print(
        json.dumps({"what": what, "ms": round(1000 * seconds, 1), "ratio": round(seconds / ours, 1)} | more), flush=True
    )


def main() -> None:
    """Time whole processes, then loaded models."""
    with tempfile.TemporaryDirectory() as made:
        for name, write in PEERS.items():
            (Path(made) / name).mkdir()
            write(Path(made) / name)
        script = str(Path(sys.executable).with_name("looksay"))
        exactly = ["--min-length", str(WORDS), "--max-length", str(WORDS)]
        ours, memory = process([script, PHOTO, *exactly])
        tell("looksay photo.jpg, the whole process", ours, ours, memory_mb=round(memory))
        for name in PEERS:
            taken, memory = process([sys.executable, "-c", f"{LOAD}; {CAPTION}", str(Path(made) / name), PHOTO])
            tell(f"{name}, the whole process", taken, ours, memory_mb=round(memory))

        captioner = looksay.load()
        ours = milliseconds(lambda: captioner(PHOTO, num_beams=3, min_length=WORDS, max_length=WORDS), rounds=50) / 1000
        tell("looksay, loaded", ours, ours)
        session = onnxruntime.InferenceSession(captioner.bundle.folder / ENCODER, providers=["CPUExecutionProvider"])
        pixels = captioner.prepare(PHOTO)[0][None]
        alone = milliseconds(lambda: session.run(None, {"image": pixels}), rounds=50) / 1000
        tell("of it: the encoder alone, in ONNX Runtime", alone, ours)
        from transformers import pipeline

        for name in PEERS:
            peer = pipeline("image-to-text", str(Path(made) / name))
            exact = {"num_beams": 3, "min_new_tokens": WORDS + 1, "max_new_tokens": WORDS + 1}
            taken = milliseconds(lambda: peer(PHOTO, generate_kwargs=exact), rounds=ROUNDS) / 1000  # noqa: B023
            tell(f"{name}, loaded", taken, ours)


if __name__ == "__main__":
    main()
