# ruff: noqa: NPY002 (timm and torchvision draw from the global generators)
import io
import json
import random
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from react_mm.datasets import PairDataset
from react_mm.datasets.images import DamagedImageError, decode_image
from react_mm.datasets.pairs import seeded
from react_mm.engine.samplers import PairSampler
from tests.pair_shards import add, png, write_shard

PIPELINE = [dict(type="react_mm.TimmAugment", size=24, re_prob=0.9)]


@pytest.fixture
def shards(tmp_path):
    write_shard(tmp_path / "p-0.tar", 6, captions=4)
    write_shard(tmp_path / "p-1.tar", 5, first=6, captions=4)
    write_shard(tmp_path / "g.tar", 4, first=20)
    return tmp_path


def build(shards, pipeline=(), **options):
    sources = [dict(path=f"{shards}/p-*.tar"), dict(path=f"{shards}/g.tar", role="general")]
    return PairDataset(sources, pipeline, **options)


def pixels(dataset, position):
    return dataset[position]["inputs"]


def test_items_are_the_members_of_the_shards(shards):
    dataset = build(shards)
    assert len(dataset) == 15
    for index in range(15):
        item = dataset[index]
        number = index if index < 11 else index + 9
        expected = np.asarray(Image.open(io.BytesIO(png(number)))).transpose(2, 0, 1)
        assert np.array_equal(item["inputs"].numpy(), expected)
        assert item["key"].endswith(f"k{number:03d}")
        assert item["role"] == int(index >= 11)
        if index < 11:
            assert item["caption"] == f"caption {index % 4}"
            assert dataset.captions[item["caption_id"]] == item["caption"]
        else:
            assert (item["caption"], item["caption_id"]) == ("", -1)
    assert dataset.captions == [f"caption {i}" for i in range(4)]
    assert dataset.metainfo["num_pairs"] == 11
    assert dataset.metainfo["num_general"] == 4


@pytest.mark.parametrize("workers", [1, 3])
def test_augmentation_does_not_depend_on_workers_or_order(shards, workers):
    dataset = build(shards, PIPELINE, seed=7)
    positions = [(e, i) for e in (0, 1) for i in range(len(dataset))]
    alone = {p: pixels(dataset, p) for p in reversed(positions)}
    random.seed(99)
    torch.manual_seed(99)
    np.random.seed(99)
    loader = DataLoader(dataset, batch_size=4, sampler=positions, num_workers=workers)
    together = torch.cat([batch["inputs"] for batch in loader])
    for position, image in zip(positions, together, strict=True):
        assert torch.equal(image, alone[position]), position


def test_augmentation_differs_by_epoch_sample_and_seed(shards):
    dataset, other = build(shards, PIPELINE, seed=0), build(shards, PIPELINE, seed=1)
    assert not torch.equal(pixels(dataset, (0, 3)), pixels(dataset, (1, 3)))
    assert not torch.equal(pixels(dataset, (0, 3)), pixels(other, (0, 3)))
    assert torch.equal(pixels(dataset, (0, 3)), pixels(dataset, 3))
    crop = [dict(type="react_mm.RandomResizedCrop", size=8, scale=(0.05, 0.1))]
    constant = np.arange(40 * 50 * 3, dtype=np.uint8).reshape(40, 50, 3)
    dataset = build(shards, crop)
    dataset._load = lambda index: (index, Image.fromarray(constant))
    assert not torch.equal(pixels(dataset, (0, 3)), pixels(dataset, (0, 4)))


def test_seeding_leaves_the_global_generators_as_they_were(shards):
    dataset = build(shards, PIPELINE)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = random.random(), np.random.rand(), torch.rand(1).item()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    dataset[(2, 2)]
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected
    with seeded(1, 2):
        one = random.random(), np.random.rand(), torch.rand(1).item()
    with seeded(1, 3):
        assert all(
            a != b
            for a, b in zip(
                one, (random.random(), np.random.rand(), torch.rand(1).item()), strict=True
            )
        )


def test_damaged_images_are_replaced_the_same_way_and_counted(tmp_path):
    with tarfile.open(tmp_path / "p.tar", "w") as tar:
        for i in range(6):
            data = b"<html>404</html>" if i == 2 else png(i)[:200] if i == 3 else png(i)
            add(tar, f"k{i}.png", data)
            add(tar, f"k{i}.txt", f"text {i}".encode())
    dataset = PairDataset([dict(path=str(tmp_path / "p.tar"))])
    items = [dataset[2], dataset[3], dataset[(5, 2)]]
    assert {(item["key"], item["caption"]) for item in items} == {("p/k4", "text 4")}
    assert dataset.damaged == 5  # 2, 3 | 3 | 2, 3
    loader = DataLoader(dataset, batch_size=6, num_workers=2)
    assert next(iter(loader))["key"][2:4] == ["p/k4", "p/k4"]
    assert dataset.damaged == 8  # counted in the workers, too


def test_a_damaged_image_is_replaced_within_its_role(tmp_path):
    for name in ("p", "g"):
        with tarfile.open(tmp_path / f"{name}.tar", "w") as tar:
            for i in range(3):
                add(tar, f"k{i}.png", b"no picture" if i == 2 else png(i))
                add(tar, f"k{i}.txt", b"text")
    dataset = PairDataset(
        [dict(path=f"{tmp_path}/p.tar"), dict(path=f"{tmp_path}/g.tar", role="general")]
    )
    items = [dataset[2], dataset[5]]  # the last of each role: on to its first
    assert [(item["key"], item["role"]) for item in items] == [("p/k0", 0), ("g/k0", 1)]


def test_only_damaged_images_are_an_error(tmp_path):
    with tarfile.open(tmp_path / "p.tar", "w") as tar:
        add(tar, "k.png", b"no picture")
        add(tar, "k.txt", b"text")
    with pytest.raises(DamagedImageError, match="p/k"):
        PairDataset([dict(path=str(tmp_path / "p.tar"))])[0]


def test_unusable_pairs_are_counted_by_reason(tmp_path):
    with tarfile.open(tmp_path / "p.tar", "w") as tar:
        for key, caption in dict(
            a=b"fine", b=b"  \n", c=None, d=b"\xff\xfe", e="שלום".encode()
        ).items():
            add(tar, f"{key}.png", png(1))
            if caption is not None:
                add(tar, f"{key}.txt", caption)
        add(tar, "f.txt", b"no image")
        add(tar, "../g.png", png(1))
    dataset = PairDataset([dict(path=str(tmp_path))])
    assert [dataset[i]["caption"] for i in range(len(dataset))] == ["fine", "שלום"]
    assert dict(dataset.ledger) == {
        "caption missing or empty": 2,
        "caption is not UTF-8": 1,
        "no image of a known type": 1,
        "unsafe name": 1,
    }
    general = PairDataset([dict(path=str(tmp_path), role="general")])
    assert len(general) == 5  # a general image needs no caption


def test_where_on_shards_and_lists(shards, tmp_path):
    dataset = PairDataset([dict(path=f"{shards}/p-0.tar", where=dict(parity="odd"))])
    assert [dataset.key(i) for i in range(len(dataset))] == ["p-0/k001", "p-0/k003", "p-0/k005"]
    assert dataset.ledger["filtered by where"] == 3
    with pytest.raises(ValueError, match="did you mean parity"):
        PairDataset([dict(path=f"{shards}/p-0.tar", where=dict(partiy="odd"))])
    with pytest.raises(ValueError, match="no usable pair"):
        PairDataset([dict(path=f"{shards}/p-0.tar", where=dict(parity="none"))])


def test_a_folder_with_a_list(tmp_path):
    folder = tmp_path / "bilder été"
    folder.mkdir()
    (folder / "a.png").write_bytes(png(1))
    (tmp_path / "out.png").write_bytes(png(2))
    rows = [
        dict(image="a.png", text="one", alt="uno", split="train"),
        dict(image="a.png", text="two", alt="dos", split="val"),
        dict(image="missing.png", text="three", alt="tres", split="train"),
        dict(image="../out.png", text="four", alt="cuatro", split="train"),
        dict(image="a.png", text="", alt="cinco", split="train"),
    ]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    dataset = PairDataset([dict(path=str(folder), where=dict(split="train"))])
    assert dataset.captions == ["one"]
    assert dict(dataset.ledger) == {
        "filtered by where": 1,
        "image file missing": 1,
        "unsafe name": 1,
        "caption missing or empty": 1,
    }
    both = PairDataset([dict(path=str(folder), where=dict(split=["train", "val"]), text="alt")])
    assert both.captions == ["uno", "dos", "cinco"]
    (folder / "pairs.jsonl").write_text('{"image": "a.png", "text": "x"}\n{"image" ')
    with pytest.raises(ValueError, match=r"pairs\.jsonl line 2"):
        PairDataset([dict(path=str(folder))])


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (dict(path="nowhere"), FileNotFoundError, "nothing at nowhere"),
        (dict(path="{tmp}"), FileNotFoundError, "neither"),
        (dict(path="{tmp}/*.tar"), FileNotFoundError, "nothing at"),
        (dict(path="x", role="generel"), ValueError, "did you mean general"),
    ],
)
def test_missing_sources_end_at_once(tmp_path, source, error, message):
    with pytest.raises(error, match=message):
        PairDataset([{**source, "path": source["path"].format(tmp=tmp_path)}])
    with pytest.raises(ValueError, match="no sources"):
        PairDataset([])


def test_an_empty_shard_is_an_error(tmp_path):
    tarfile.open(tmp_path / "p.tar", "w").close()
    with pytest.raises(ValueError, match="no usable pair"):
        PairDataset([dict(path=str(tmp_path / "p.tar"))])


def test_decoder_on_odd_pictures():
    def encoded(image, kind="PNG", **options):
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    grey16 = Image.fromarray(np.full((4, 6), 0x8034, dtype=np.uint16))
    assert decode_image(encoded(grey16)).getpixel((0, 0)) == (0x80,) * 3
    cmyk = decode_image(encoded(Image.new("CMYK", (5, 4)), "JPEG"))
    assert (cmyk.mode, cmyk.size) == ("RGB", (5, 4))
    palette = Image.new("RGBA", (5, 4), (255, 0, 0, 0)).convert("P")
    assert decode_image(encoded(palette)).mode == "RGB"
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    assert decode_image(encoded(Image.new("RGB", (8, 4)), "JPEG", exif=exif)).size == (4, 8)
    frames = [Image.new("RGB", (4, 4), c) for c in ("red", "blue")]
    gif = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_image(gif).getpixel((1, 1)) == (255, 0, 0)
    assert decode_image(encoded(Image.new("RGB", (3000, 1)))).size == (3000, 1)
    bomb = encoded(Image.new("1", (20_000, 20_000)))
    with pytest.raises(DamagedImageError, match="pixels"):
        decode_image(bomb)
    for bad in (b"", b"GIF89a", png(0)[:100]):
        with pytest.raises(DamagedImageError):
            decode_image(bad)


def test_sampler_and_data_set_agree(shards):
    dataset = build(shards, [dict(type="react_mm.RandomResizedCrop", size=8)])
    sampler = PairSampler(dataset, seed=0, pairs_per_batch=3, general_per_batch=2)
    loader = iter(DataLoader(dataset, batch_size=5, sampler=sampler))
    for _ in range(6):
        assert next(loader)["role"].tolist() == [0, 0, 0, 1, 1]
