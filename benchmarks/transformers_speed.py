"""Speed for one photo, against transformers' image-to-text pipeline: ``python benchmarks/transformers_speed.py``.

The peers are vit-gpt2 and BLIP-base in their public configurations, with random weights (speed does not depend on
them). All decode with beam 3 captions of exactly 11 words and an end token. Needs ``pip install "transformers<5"``:
later versions have no such pipeline.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from timing import EXAMPLES, encoder_run, median_seconds, print_row

import looksay

PHOTO = str(EXAMPLES / "boats.jpg")
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
OPTIONS = {"num_beams": 3, "min_new_tokens": WORDS + 1, "max_new_tokens": WORDS + 1}
SCRIPT = f"""
import sys
from transformers import pipeline
pipeline("image-to-text", sys.argv[1])(sys.argv[2], generate_kwargs={OPTIONS})
"""

# A small process starts the measured one: until a child has started, its parent's memory counts as its own.
WATCH = """
import json, os, subprocess, sys, time
start = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
print(json.dumps([time.perf_counter() - start, usage.ru_maxrss / 1024]))
sys.exit(status != 0)
"""


def measure_process(command: list[str]) -> tuple[float, int]:
    """Return the median wall time of a command in seconds, and its peak memory in MB."""
    watch = [sys.executable, "-c", WATCH, *command]
    rows = [json.loads(subprocess.run(watch, check=True, capture_output=True).stdout) for _ in range(ROUNDS)]
    return statistics.median(seconds for seconds, _ in rows), round(max(peak for _, peak in rows))


def print_ratio(what: str, seconds: float, base: float, **figures: int) -> None:
    """Print a row with the ratio to looksay's time."""
    print_row(what=what, ms=round(1000 * seconds, 1), ratio=round(seconds / base, 1), **figures)


def main() -> None:
    """Time whole processes, then loaded models."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = {name: Path(temporary) / name for name in PEERS}
        for name, folder in folders.items():
            folder.mkdir()
            PEERS[name](folder)
        script, length = str(Path(sys.executable).with_name("looksay")), str(WORDS)
        base, memory = measure_process([script, PHOTO, "--min-length", length, "--max-length", length])
        print_ratio("looksay photo.jpg, the whole process", base, base, memory_mb=memory)
        for name, folder in folders.items():
            seconds, memory = measure_process([sys.executable, "-c", SCRIPT, str(folder), PHOTO])
            print_ratio(f"{name}, the whole process", seconds, base, memory_mb=memory)

        captioner = looksay.load()
        generate = partial(captioner, PHOTO, num_beams=3, min_length=WORDS, max_length=WORDS)
        base = median_seconds(generate, 50)
        print_ratio("looksay, loaded", base, base)
        encoder_seconds = median_seconds(encoder_run(captioner, PHOTO), 50)
        print_ratio("of it: the encoder alone, in ONNX Runtime", encoder_seconds, base)
        from transformers import pipeline

        for name, folder in folders.items():
            peer = partial(pipeline("image-to-text", str(folder)), PHOTO, generate_kwargs=OPTIONS)
            print_ratio(f"{name}, loaded", median_seconds(peer, ROUNDS), base)


if __name__ == "__main__":
    main()
