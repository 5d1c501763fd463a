"""Rows of a state keep the features of their images."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from looksay.decoding.state import DecoderState


def test_the_memory_is_copied_only_if_images_are_left_out_or_reordered() -> None:
    """It is by far the largest part of the state, and rows change at every step."""
    state = DecoderState.begin({"keys": np.arange(3.0)}, {"cell": np.arange(3.0)})
    beams = state.take(np.array([0, 0, 1, 1, 2, 2]))
    assert np.shares_memory(beams.take(np.array([1, 0, 3, 3, 4, 5])).memory["keys"], state.memory["keys"])
    assert beams.take(np.array([5, 4, 1, 0])).memory["keys"].tolist() == [2, 0]


@given(st.lists(st.integers(0, 3), max_size=9), st.data())
def test_each_row_keeps_its_image_whatever_rows_are_taken(first: list[int], data: st.DataObject) -> None:
    state = DecoderState.begin({"keys": np.arange(4.0)}, {"cell": np.arange(4.0)}).take(np.array(first, dtype=int))
    if first:
        rows = data.draw(st.lists(st.integers(0, len(first) - 1), max_size=9))
        state = state.take(np.array(rows, dtype=int))
    assert len(state) == len(state.hidden["cell"])
    assert state.memory["keys"][state.memory_of].tolist() == state.hidden["cell"].tolist()
    width = len(state) // max(1, len(state.memory["keys"]))
    assert (
        np.repeat(state.memory["keys"], width).tolist() == state.hidden["cell"].tolist()
    )  # as the ONNX graph reads it
