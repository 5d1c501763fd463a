"""Who downloads Flickr8k, from its authors or from Kaggle, points at the folder and trains."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import COPIES, PHOTOS, SAID, write_flickr8k

from looksay import DataError, data


def write_kaggle(folder: Path, text: str) -> Path:
    (folder / "Images").mkdir(parents=True)
    (folder / "captions.txt").write_text(text, encoding="utf-8")
    return folder


def test_the_original_layout_has_the_official_splits(small_data: Path) -> None:
    dataset = data.read(small_data)
    assert dataset.layout == "Flickr8k, original layout"
    assert len(dataset.split("train")) == COPIES * len(PHOTOS)
    assert [record.image.name for record in dataset.split("val")] == [f"val-{photo}" for photo in PHOTOS]
    assert dataset.split("val")[0].references == (SAID["alps.jpg"],) * 2
    assert dataset.split("val")[0].image.is_file()
    with pytest.raises(DataError, match="has no test split; it has train 16, val 4, test 0"):
        dataset.split("test")


def test_the_original_layout_may_be_in_its_zip_files_folders(tmp_path: Path) -> None:
    folder = write_flickr8k(tmp_path / "data")
    (folder / "Images").rename(folder / "Flicker8k_Dataset")
    (folder / "Flickr8k_text").mkdir()
    for file in folder.glob("*.txt"):
        file.rename(folder / "Flickr8k_text" / file.name)
    assert len(data.read(folder).records) == (COPIES + 1) * len(PHOTOS)


def test_windows_line_ends_bom_and_the_copy_mark_are_read(tmp_path: Path) -> None:
    folder = write_flickr8k(tmp_path / "data")
    tokens = folder / "Flickr8k.token.txt"
    text = tokens.read_text(encoding="utf-8").replace("val-alps.jpg#", "val-alps.jpg.1#")
    tokens.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert data.read(folder).split("val")[0].references == (SAID["alps.jpg"],) * 2


def test_captions_of_unlisted_pictures_are_counted_not_dropped_in_silence(tmp_path: Path) -> None:
    folder = write_flickr8k(tmp_path / "data")
    with (folder / "Flickr8k.token.txt").open("a", encoding="utf-8") as file:
        file.write("other.jpg#0\ta dog\n")
    assert data.read(folder).problems == ("1 pictures have captions but are in none of the lists that are here",)


@pytest.mark.parametrize(
    ("file", "line", "problem"),
    [
        ("Flickr8k.token.txt", "no tab here", r"token\.txt, line 41: expected NAME\.jpg#0, a tab and a caption"),
        ("Flickr8k.token.txt", "x.jpg#0\t ", r"token\.txt, line 41"),
        ("Flickr_8k.devImages.txt", "unknown.jpg", r"lists unknown\.jpg, which has no caption"),
        ("Flickr_8k.devImages.txt", "0-alps.jpg", r"lists 0-alps\.jpg, which is in the train split already"),
    ],
)
def test_broken_files_are_refused_with_file_and_row(tmp_path: Path, file: str, line: str, problem: str) -> None:
    folder = write_flickr8k(tmp_path / "data")
    with (folder / file).open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")
    with pytest.raises(DataError, match=problem):
        data.read(folder)


def test_kaggles_layout_with_commas_and_quotes(tmp_path: Path) -> None:
    text = 'image,caption\na.jpg,"A dog , red ball ."\na.jpg,A ""dog""\nb c.jpg,Ein Hund fährt\n'
    dataset = data.read(write_kaggle(tmp_path / "data", text))
    assert [record.references for record in dataset.records] == [
        ("A dog , red ball .", 'A ""dog""'),
        ("Ein Hund fährt",),
    ]
    assert dataset.records[1].image == tmp_path / "data" / "Images" / "b c.jpg"


def test_a_quoted_caption_may_have_two_lines_and_an_open_quote_is_named(tmp_path: Path) -> None:
    folder = write_kaggle(tmp_path / "data", 'image,caption\r\n\r\na.jpg,"a dog\r\nruns"\r\n')
    assert data.read(folder).records[0].references == ("a dog\r\nruns",)
    (folder / "captions.txt").write_text('image,caption\na.jpg,"a dog\nb.jpg,a cat\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"captions\.txt, line 3: unexpected end of data"):
        data.read(folder)


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/secret.jpg"])
def test_a_picture_outside_the_data_sets_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="would lie outside"):
        data.read(write_kaggle(tmp_path / "data", f"image,caption\n{name},a dog\n"))


def test_kaggles_splits_are_drawn_by_picture_and_never_change(tmp_path: Path) -> None:
    def splits(names: list[str], folder: Path) -> dict[str, str]:
        text = "image,caption\n" + "".join(f"{name},a dog\n{name},a cat\n" for name in names)
        return {record.image.name: record.split for record in data.read(write_kaggle(folder, text)).records}

    names = [f"{number}.jpg" for number in range(400)]
    whole, half = splits(names, tmp_path / "whole"), splits(names[200:], tmp_path / "half")
    assert all(whole[name] == split for name, split in half.items())
    counts = {split: list(whole.values()).count(split) for split in data.SPLITS}
    assert 270 <= counts["train"] <= 330
    assert min(counts.values()) >= 30


@pytest.mark.parametrize(
    "text", ["", "a,b\n", "image,caption\na.jpg\n", "image,caption\na.jpg,x,y\n", "image,caption\na.jpg,\n"]
)
def test_broken_kaggle_tables_are_refused_with_their_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"captions\.txt, line \d"):
        data.read(write_kaggle(tmp_path / "data", text))


def test_unknown_folders_say_what_was_looked_for_and_found(tmp_path: Path) -> None:
    (tmp_path / "photos.zip").touch()
    with pytest.raises(DataError, match=r"Looked for Flickr8k\.token\.txt .* found photos\.zip"):
        data.read(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        data.read(tmp_path / "none")
    (tmp_path / "captions.txt").write_text("image,caption\na.jpg,b\n", encoding="utf-8")
    with pytest.raises(DataError, match="no pictures"):
        data.read(tmp_path)
    (tmp_path / "captions.txt").write_bytes(b"image,caption\na.jpg,caf\xe9\n")
    with pytest.raises(DataError, match="not UTF-8"):
        data.read(tmp_path)


def test_the_real_flickr8k_has_6000_train_and_1000_val_pictures_with_five_captions(flickr8k: Path) -> None:
    dataset = data.read(flickr8k)
    assert {len(record.references) for record in dataset.records} == {5}
    assert (len(dataset.split("train")), len(dataset.split("val"))) == (6000, 1000)
    assert all(record.image.is_file() for record in dataset.records)
