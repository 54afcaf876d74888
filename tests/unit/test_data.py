"""The data set is frozen: content, not file, is what counts."""

import numpy as np

from bench import data


def test_content_never_changes() -> None:
    """Made by scripts/freeze_data.py. If this fails the data was changed, and with it every published result."""
    assert (
        data.data_hash("digits")
        == data.data_hash("tinted digits")
        == "2913c6b6527114b7307e1086335a7665e3f94c74aba3d67525e6f116bf5ae20f"
    )
    assert data.data_hash("text") == "2a95af4ac93f5b719944030ce3769070ddf827d847cba42192afa8da989e5dc4"


def test_digits_are_images() -> None:
    digits = data.digits()
    assert digits.shape == (5000, 28, 28) and digits.dtype == np.uint8 and digits.max() == 255


def test_text_is_english() -> None:
    text = data.text().tobytes().decode()
    assert len(text) > 400_000 and text.count(" the ") > 2_000
