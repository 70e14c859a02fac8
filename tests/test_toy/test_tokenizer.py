"""The toy CLIP's tokenizer: open_clip's, with merges of our own."""

import gzip
import json
from pathlib import Path

import pytest
from open_clip.tokenizer import SimpleTokenizer

from react_mm.toy import tokenizer
from react_mm.toy.tokenizer import MAX_VOCABULARY, MERGES_FILE, learn_merges, write_merges
from react_mm.toy.world import CONCEPTS

ARCHITECTURE = json.loads(MERGES_FILE.with_name("toy-vit.json").read_text())


@pytest.fixture(scope="module")
def tokens():
    return SimpleTokenizer(str(MERGES_FILE), context_length=32)


def test_the_shipped_merges_are_those_of_the_world(tmp_path):
    path = tmp_path / "merges.txt.gz"
    size = write_merges(path)
    # compared unpacked: the packed bytes depend on the version of zlib
    assert gzip.decompress(path.read_bytes()) == gzip.decompress(MERGES_FILE.read_bytes())
    assert size == ARCHITECTURE["text_cfg"]["vocab_size"] <= MAX_VOCABULARY


def test_open_clip_makes_the_vocabulary_we_say(tokens):
    assert tokens.vocab_size == ARCHITECTURE["text_cfg"]["vocab_size"]
    # pooling takes the token of the largest id
    assert tokens.eot_token_id == tokens.vocab_size - 1


def test_every_word_of_a_concept_is_one_token(tokens):
    for concept in CONCEPTS:
        for words in concept.words:
            pieces = words.replace("-", " - ").split()
            assert len(tokens.encode(words)) == len(pieces), words


@pytest.mark.parametrize(
    "text",
    [
        "a photo of a ladybird",
        "an image of a hot - air balloon on a cloudy sky blue background",
        "zürich, 東京 and quixotic jazz",
        "free clip art ! ! | best price",
    ],
)
def test_round_trip(tokens, text):
    decoded = tokens.decode(tokens.encode(text))
    assert decoded.split() == text.replace(",", " ,").split()


def test_different_texts_have_different_tokens(tokens):
    texts = [w for c in CONCEPTS for w in c.words] + ["xq", "qx", "é", "è"]
    assert len({tuple(tokens.encode(t)) for t in texts}) == len(texts)


def test_long_texts_are_cut_with_the_end_token(tokens):
    row = tokens(["a very long caption " * 40])[0]
    assert row.shape == (32,) and row[-1] == tokens.eot_token_id


def test_merges_are_learned_by_count_then_alphabet():
    assert learn_merges(["ab ab ab cd"], 1) == [("a", "b</w>")]
    assert learn_merges(["ef cd"], 1) == [("c", "d</w>")]
    assert learn_merges(["aaa"], 9) == [("a", "a"), ("aa", "a</w>")]
    assert learn_merges(["abcdefgh"], 3) == learn_merges(["abcdefgh"], 9)[:3]


def test_the_file_ends_without_a_newline():
    """open_clip would read an empty last line as one more, empty merge."""
    content = gzip.decompress(Path(tokenizer.MERGES_FILE).read_bytes())
    assert content.startswith(b"#") and not content.endswith(b"\n")
