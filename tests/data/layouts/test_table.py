"""Tables of images and captions from various sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from looksay import DataError, data
from looksay.data import ReadOptions


def write(folder: Path, name: str, text: str | bytes, *images: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    for image in images:
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        (folder / image).touch()
    return folder


def captions_of(dataset: data.Dataset) -> dict[str, tuple[str, ...]]:
    return {record.image.name: record.references for record in dataset.records}


def test_kaggles_flickr8k_with_commas_and_quotes(tmp_path: Path) -> None:
    text = 'image,caption\na.jpg,"A dog , red ball ."\na.jpg,A ""dog""\nb c.jpg,Ein Hund fährt\n'
    dataset = data.read(write(tmp_path, "captions.txt", text, "Images/a.jpg", "Images/b c.jpg"))
    assert dataset.layout.startswith("Flickr8k, Kaggle's layout")
    assert captions_of(dataset) == {"a.jpg": ("A dog , red ball .", 'A ""dog""'), "b c.jpg": ("Ein Hund fährt",)}
    assert dataset.records[1].image == tmp_path / "Images" / "b c.jpg"


def test_kaggles_flickr30k_with_its_one_broken_row(tmp_path: Path) -> None:
    text = (
        'image_name| comment_number| comment\n1.jpg| 0| Two "young" guys , a lawn .\n1.jpg| 1| A | pipe .\n'
        "2.jpg| 4   A dog runs across the grass .\n"
    )
    folder = write(tmp_path, "results.csv", text.replace(" | pipe", " pipe"), "flickr30k_images/flickr30k_images/1.jpg")
    (folder / "flickr30k_images/flickr30k_images/2.jpg").touch()
    dataset = data.read(folder)
    assert dataset.layout.startswith("Flickr30k, Kaggle's layout")
    assert captions_of(dataset) == {
        "1.jpg": ('Two "young" guys , a lawn .', "A pipe ."),
        "2.jpg": ("A dog runs across the grass .",),
    }
    assert dataset.problems == ("rows without one |, mended: 1 (results.csv, line 4)",)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("captions.csv", "filename,text\nfotos/ä b.jpg,a dog\nfotos/ä b.jpg,a cat\n"),
        ("captions.csv", "\ufefffilename;id;caption\r\nfotos/ä b.jpg;7;a dog\r\nfotos/ä b.jpg;7;a cat\r\n"),
        ("data.tsv", "Image Path\tDescription\nfotos/ä b.jpg\ta dog\nfotos/ä b.jpg\ta cat\n"),
        ("data.csv", "file_name,caption_1,caption_2\nfotos/ä b.jpg,a dog,a cat\n"),
        ("data.csv", "fotos/ä b.jpg,a dog\nfotos/ä b.jpg,a cat\n"),
        ("data.csv", '"image","caption"\n"fotos\\ä b.jpg","a dog"\n"fotos/ä b.jpg","a cat"\n'),
        ("metadata.jsonl", '{"file_name": "fotos/ä b.jpg", "captions": ["a dog", "a cat"]}\n\n'),
        (
            "data.csv",
            "\ufefffile_name\tcaption\r\nfotos/ä b.jpg\ta dog\r\nfotos/ä b.jpg\ta cat\r\n".encode("utf-16-le"),
        ),
        ("data.csv", "image,caption\nfotos/ä b.jpg,a dog\nfotos/ä b.jpg,a cat\n".encode("utf-16")),
        ("data.csv", "sep=;\r\nimage;caption;;\r\nfotos/ä b.jpg;a dog;;\r\nfotos/ä b.jpg;a cat;;\r\n"),
        ("data.csv", 'image,captions\nfotos/ä b.jpg,"[""a dog"", ""a cat""]"\n'),
        ("data.csv", "image;captions\nfotos/ä b.jpg;['a dog', \"a cat\"]\n"),
        ("data.csv", "image,captions\nfotos/ä b.jpg,\"['a dog'\n 'a cat']\"\n"),
        (
            "data.json",
            '[{"image": "fotos/ä b.jpg", "caption": "a dog"}, {"image": "fotos/ä b.jpg", "caption": "a cat"}]',
        ),
        ("x.jsonl", '{"image": "fotos/ä b.jpg", "caption": "a dog"}\n{"image": "fotos/ä b.jpg", "caption": "a cat"}'),
    ],
)
def test_columns_are_guessed_from_usual_names(tmp_path: Path, name: str, text: str | bytes) -> None:
    dataset = data.read(write(tmp_path, name, text, "fotos/ä b.jpg"))
    assert captions_of(dataset) == {"ä b.jpg": ("a dog", "a cat")}
    assert dataset.records[0].image.is_file()


def test_columns_can_be_named_and_others_are_ignored(tmp_path: Path) -> None:
    text = "key,caption,deutsch,phase\na.jpg,a dog,ein Hund,dev\nb.jpg,a cat,eine Katze,train\n"
    options = ReadOptions(image_column="key", caption_column=("deutsch",), split_column="phase")
    dataset = data.read(write(tmp_path, "x.csv", text, "a.jpg", "b.jpg"), options)
    assert [(r.image.name, r.references, r.split) for r in dataset.records] == [
        ("a.jpg", ("ein Hund",), "val"),
        ("b.jpg", ("eine Katze",), "train"),
    ]
    with pytest.raises(DataError, match=r"x\.csv has no column 'Bild'; it has key, caption, deutsch, phase"):
        data.read(tmp_path, ReadOptions(image_column="Bild"))


def test_several_caption_columns_can_be_named(tmp_path: Path) -> None:
    text = "image,caption,deutsch,note\na.jpg,a dog,ein Hund,x\nb.jpg,a cat,,y\n"
    folder = write(tmp_path, "x.csv", text, "a.jpg", "b.jpg")
    dataset = data.read(folder, ReadOptions(caption_column=("deutsch", "caption")))
    assert captions_of(dataset) == {"a.jpg": ("ein Hund", "a dog"), "b.jpg": ("a cat",)}
    assert ReadOptions(caption_column="deutsch") == ReadOptions(caption_column=("deutsch",))  # type: ignore[arg-type]


def test_an_unknown_header_is_reported_with_all_its_columns(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column of images among a, b; expected image, imagename"):
        data.read(write(tmp_path, "x.csv", "a;b\n1;2;3\n"))
    with pytest.raises(DataError, match=r"x\.csv has no rows"):
        data.read(write(tmp_path, "x.csv", ",,\n"))


def test_a_split_column_is_used_and_tables_may_be_named_after_their_splits(tmp_path: Path) -> None:
    one = write(tmp_path / "one", "all.csv", "image,caption,split\na.jpg,x,training\nb.jpg,y,validation\n", "a.jpg")
    (one / "b.jpg").touch()
    assert [record.split for record in data.read(one).records] == ["train", "val"]
    many = write(tmp_path / "many", "train.csv", "image,caption\na.jpg,x\n", "a.jpg", "b.jpg")
    write(many, "my_test.csv", "image,caption\nb.jpg,y\n")
    assert sorted((r.image.name, r.split) for r in data.read(many).records) == [("a.jpg", "train"), ("b.jpg", "test")]


def test_image_folders_of_the_hub_are_splits(tmp_path: Path) -> None:
    for split, name in (("train", "a.jpg"), ("validation", "b.jpg")):
        (tmp_path / split).mkdir()
        write(tmp_path / split, "metadata.csv", f"file_name,text\n{name},a dog\n", name)
    dataset = data.read(tmp_path)
    assert [(record.image, record.split) for record in dataset.records] == [
        (tmp_path / "train" / "a.jpg", "train"),
        (tmp_path / "validation" / "b.jpg", "val"),
    ]


def test_nested_metadata_of_the_hub_names_files_relative_to_itself(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write(tmp_path / "data" / split, "metadata.jsonl", '{"file_name": "x/1.jpg", "text": "a dog"}\n', "x/1.jpg")
    dataset = data.read(tmp_path)
    assert [(str(r.image.relative_to(tmp_path)), r.split) for r in dataset.records] == [
        ("data/test/x/1.jpg", "test"),
        ("data/train/x/1.jpg", "train"),
    ]


def test_one_metadata_file_has_the_splits_of_its_images_folders(tmp_path: Path) -> None:
    text = "file_name,text\ntrain/1.jpg,a dog\nvalidation/1.jpg,a cat\n"
    dataset = data.read(write(tmp_path, "metadata.csv", text, "train/1.jpg", "validation/1.jpg"))
    assert [record.split for record in dataset.records] == ["train", "val"]


def test_tables_may_be_beside_the_images_and_in_folders_of_their_splits(tmp_path: Path) -> None:
    beside = write(tmp_path / "a" / "annotations", "train.csv", "image,caption\n1.jpg,x\n", "../images/1.jpg")
    for source in (tmp_path / "a", beside, beside / "train.csv"):
        assert [(r.image, r.split) for r in data.read(source).records] == [(tmp_path / "a/images/1.jpg", "train")]
    for split in ("train", "val"):
        write(tmp_path / "b" / split, "captions.csv", "image,caption\n1.jpg,x\n", "1.jpg")
    assert [record.split for record in data.read(tmp_path / "b").records] == ["train", "val"]


def test_names_of_other_case_or_without_an_ending_are_found_and_reported(tmp_path: Path) -> None:
    text = "image_id,caption\n1,a dog\nB.PNG,a cat\n3,a bird\n"
    dataset = data.read(write(tmp_path, "c.csv", text, "images/1.jpg", "images/b.png"))
    assert captions_of(dataset) == {"1.jpg": ("a dog",), "b.png": ("a cat",)}
    assert dataset.problems == (
        "images found with another case or ending: 2 (c.csv, line 2: 1 is 1.jpg; c.csv, line 3: B.PNG is b.png)",
        "missing images, left out: 1 (c.csv, line 4: 3)",
    )


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("c.xlsx", b"PK\3\4", r"c\.xlsx is an Excel workbook \(\.xlsx\): save the sheet as CSV UTF-8"),
        ("c.ods", b"PK\3\4", r"c\.ods is an OpenDocument spreadsheet"),
        ("c.csv", b"PK\3\4", r"c\.csv is a ZIP file \(Excel .*save a sheet as CSV UTF-8"),
        ("c.csv", b"\xd0\xcf\x11\xe0", r"c\.csv is an old Excel workbook"),
        ("c.csv", b"PAR1", r"c\.csv is a Parquet file"),
    ],
)
def test_spreadsheets_are_refused_with_what_to_do(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    folder = write(tmp_path, name, content, "a.jpg")
    for source in (folder, folder / name):
        with pytest.raises(DataError, match=problem):
            data.read(source)


def test_a_column_set_is_a_split_if_it_names_one(tmp_path: Path) -> None:
    images = ("a.jpg", "b.jpg")
    named = write(tmp_path / "a", "c.csv", "image,caption,set\na.jpg,x,train\nb.jpg,y,val\n", *images)
    assert len(data.read(named).split("val")) == 1
    other = write(tmp_path / "b", "c.csv", "image,caption,set\na.jpg,x,one\nb.jpg,y,two\n", *images)
    assert "no splits of its own" in data.read(other).layout


def test_absolute_paths_within_the_data_set_are_read(tmp_path: Path) -> None:
    dataset = data.read(write(tmp_path, "c.csv", f"image,caption\n{tmp_path / 'pics' / 'a.jpg'},x\n", "pics/a.jpg"))
    assert dataset.records[0].image == tmp_path / "pics" / "a.jpg"


def test_an_image_may_have_fewer_captions_than_columns(tmp_path: Path) -> None:
    dataset = data.read(write(tmp_path, "c.csv", "image,caption1,caption2\na.jpg,x,\n", "a.jpg"))
    assert (captions_of(dataset), dataset.problems) == ({"a.jpg": ("x",)}, ())


def test_drawn_splits_go_by_image_and_never_change(tmp_path: Path) -> None:
    def splits(names: list[str], folder: Path, seed: int = 0) -> dict[str, str]:
        text = "image,caption\n" + "".join(f"{name},a dog\n{name},a cat\n" for name in names)
        return {r.image.name: r.split for r in data.read(write(folder, "c.csv", text), ReadOptions(split_seed=seed),
                                                         images=False).records}  # fmt: skip

    names = [f"{number}.jpg" for number in range(400)]
    whole, half = splits(names, tmp_path / "whole"), splits(names[200:], tmp_path / "half")
    assert all(whole[name] == split for name, split in half.items())
    counts = {split: list(whole.values()).count(split) for split in data.SPLITS}
    assert 270 <= counts["train"] <= 330
    assert min(counts.values()) >= 30
    assert splits(names, tmp_path / "other", seed=1) != whole
    assert sorted(splits(names[:3], tmp_path / "three").values()) == ["test", "train", "val"]
    for first in range(50):  # training needs two val images
        few = splits(names[first : first + 6], tmp_path / f"few {first}")
        assert list(few.values()).count("val") >= 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("image,caption\na.jpg,x\n,a dog\n", "captions without an image, left out: 1 (c.csv, line 3)"),
        ("image,caption\na.jpg,x\na.jpg, \n", "empty captions, left out: 1 (c.csv, line 3)"),
        ("image,caption\na.jpg,x\nb.jpg,\n", "empty captions, left out: 1 (c.csv, line 3)"),
        ("image,caption\na.jpg,x\na.jpg,x\n", "duplicate captions of an image, kept: 1 (c.csv, line 3)"),
        (
            "image,caption\na.jpg,x\ngone.jpg,y\n",
            "missing images, left out: 1 (c.csv, line 3: gone.jpg)",
        ),
        ("image,caption\na.jpg,x\n", "images without a caption: 1 (more.png)"),
    ],
)
def test_omissions_are_counted_with_their_row(tmp_path: Path, text: str, problem: str) -> None:
    dataset = data.read(write(tmp_path, "c.csv", text, "a.jpg", "more.png"))
    assert problem in dataset.problems
    assert [record.image.name for record in dataset.records] == ["a.jpg"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"c\.csv is empty"),
        ("image,caption\n", r"c\.csv has no rows"),
        ("a,b\n1,2\n", r"c\.csv: no column of images among a, b; .*name it: --image-column NAME"),
        (",image,txt\n0,a.jpg,x\n", r"c\.csv: no column of captions among image, txt;"),  # a row number by pandas
        ("image,b\n1,2\n", r"c\.csv: no column of captions among image, b; .*--caption-column NAME"),
        (
            "image,caption\na.jpg,x,y\n",
            r"c\.csv, line 2: 3 cells, separated by comma, .*double quotes",
        ),
        ("image,caption\na.jpg\n", r"c\.csv, line 2: 1 cells"),
        ('image,caption\na.jpg,"a dog\nb.jpg,a cat\n', r"c\.csv, line 2: a double quote is opened and never closed"),
        ("image,caption\n../a.jpg,x\n", r"c\.csv, line 2: image '\.\./a\.jpg' is outside"),
        ("image,caption\n/etc/a.jpg,x\n", r"c\.csv, line 2: .*is outside"),
        ("image,caption\nb.jpg,x\n", r"none of the 1 images exists, such as b\.jpg; searched"),
        ("image,caption,split\na.jpg,x,somewhere\n", r"c\.csv, line 2: unknown split 'somewhere'"),
        ("image,caption,split\na.jpg,x,\nb.jpg,y,val\n", r"c\.csv, line 2: a\.jpg is in no split, but others are"),
        ("image,caption,split\na.jpg,x,val\na.jpg,y,test\n", r"line 3: a\.jpg is in the test split, and in the val"),
        ("image,caption\na.jpg,\n", r"has no captions; empty captions, left out: 1 \(c\.csv, line 2\)"),
        (b"image,caption\na.jpg,caf\xe9\n", r"c\.csv, line 2 is not UTF-8"),
    ],
)
def test_broken_tables_are_refused_with_file_and_row(tmp_path: Path, text: str | bytes, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        data.read(write(tmp_path, "c.csv", text, "a.jpg"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"image": "a.jpg", "caption": "x"}\n{"image":', r"c\.jsonl, line 2 is not JSON"),
        ("[1]\n", r"c\.jsonl, line 1: expected"),
        ('{"image": "a.jpg", "caption": 5}\n', r"c\.jsonl, line 1: expected a caption or a list"),
    ],
)
def test_broken_json_lines_are_refused_with_their_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        data.read(write(tmp_path, "c.jsonl", text, "a.jpg"))


def test_several_tables_are_an_error_that_names_them_and_a_file_can_be_named(tmp_path: Path) -> None:
    write(tmp_path, "one.csv", "image,caption\na.jpg,x\n", "a.jpg")
    write(tmp_path, "two.jsonl", '{"image": "a.jpg", "caption": "y"}\n')
    with pytest.raises(DataError, match=r"several tables: one\.csv, two\.jsonl"):
        data.read(tmp_path)
    assert captions_of(data.read(tmp_path / "two.jsonl")) == {"a.jpg": ("y",)}


def test_a_quoted_caption_may_have_two_lines(tmp_path: Path) -> None:
    text = 'image,caption\r\n\r\na.jpg,"a dog\r\nruns"\r\n'
    assert captions_of(data.read(write(tmp_path, "c.csv", text, "a.jpg"))) == {"a.jpg": ("a dog runs",)}


def test_kaggles_file_is_read_although_there_is_another_table(tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_text("image,caption\na.jpg,a dog\n", encoding="utf-8")
    (tmp_path / "other.csv").write_text("image,caption\na.jpg,another dog\n", encoding="utf-8")
    dataset = data.read(tmp_path, images=False)
    assert dataset.layout.startswith("Flickr8k, Kaggle's layout")
    assert [record.references for record in dataset.records] == [("a dog",)]


def test_what_looksay_wrote_into_a_data_set_is_no_part_of_it(tmp_path: Path) -> None:
    """A model would else be scored against its own captions."""
    write(tmp_path, "captions.json", '[{"image": "a.jpg", "caption": "x"}]', "a.jpg")
    own = captions_of(data.read(tmp_path))
    row = '{"image": "a.jpg", "caption": "its own"}\n'
    for folder, mark in (("report", "report.html"), ("runs/small", "recipe.toml"), ("model", "model.json")):
        write(tmp_path / folder, mark, "")
        write(tmp_path / folder, "captions.jsonl", row)
    assert captions_of(data.read(tmp_path)) == own
    (tmp_path / "captions.json").unlink()
    write(tmp_path / "annotations", "captions.csv", "image,caption\na.jpg,x\n")
    assert captions_of(data.read(tmp_path)) == own


def test_columns_and_files_without_a_meaning_are_ignored(tmp_path: Path) -> None:
    """As pandas' index, a note beside a spreadsheet's table, and what macOS adds to other disks."""
    write(tmp_path, "c.csv", ",image,caption,\n0,a.jpg,x,check this\n", "a.jpg")
    write(tmp_path, "._c.csv", "\0\5\26\7")
    assert captions_of(data.read(tmp_path)) == {"a.jpg": ("x",)}


def test_a_url_is_the_file_that_was_downloaded_from_it(tmp_path: Path) -> None:
    write(tmp_path, "c.csv", "image,caption\nhttps://[example]/photos/a.jpg?w=3,x\n", "images/a.jpg")
    assert captions_of(data.read(tmp_path)) == {"a.jpg": ("x",)}
    (tmp_path / "images" / "a.jpg").unlink()
    with pytest.raises(DataError, match=r"such as photos/a\.jpg; .*download the images first"):
        data.read(tmp_path)


def test_a_val_split_is_drawn_from_any_train_split(tmp_path: Path) -> None:
    """Also from one that was drawn with the same seed."""
    rows = "".join(f"{number}.jpg,a dog,train\n" for number in range(24))
    write(tmp_path, "c.csv", f"image,caption,split\n{rows}")
    options = [ReadOptions(draw_val=True, split_seed=seed) for seed in range(30)]
    counts = [len(data.read(tmp_path, one, images=False).split("val")) for one in options]
    assert min(counts) == 2
    assert max(counts) <= 8
