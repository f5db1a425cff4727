"""Reading and editing activations, and the difference of two models, on small random models."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from belljar.files import InputError
from belljar.models.activations import block_outputs, injected, residuals
from belljar.models.chats import padded, render
from belljar.models.load import DIRECTION, load_model
from belljar.probes.contrast import contrast
from belljar.probes.difference import WHOLE, difference, read_side, replicates
from belljar.training.untrained import place_direction
from conftest import CHATS, hidden

POSITIONS = ("assistant_start", "assistant_start+1", "assistant_start-1", "answer_mean", "answer_end")


@torch.no_grad()
@pytest.mark.parametrize("block", [0, 1])
def test_reads_equal_hidden_states(model: Any, tokenizer: Any, block: int) -> None:
    rendered = [render(tokenizer, *chat) for chat in CHATS[:2]]
    found = residuals(model, tokenizer, rendered, [block], POSITIONS, batch_size=2)
    for row, chat in enumerate(rendered):
        expected = hidden(model, chat.ids, block)
        if block == 0:  # hidden_states[0] is the embedding; the output of block 0 comes next
            own = model(torch.tensor([chat.ids]), output_hidden_states=True).hidden_states[1][0]
            torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-5)
        start = chat.start
        at = [expected[start], expected[start + 1], expected[start - 1], expected[start + 1 :].mean(dim=0), expected[-1]]
        torch.testing.assert_close(found[row, 0], torch.stack(at), atol=1e-5, rtol=1e-5)


def test_a_position_that_a_chat_lacks_reads_nan_and_is_left_out(model: Any, tokenizer: Any) -> None:
    longer, shorter = (render(tokenizer, *chat) for chat in CHATS[:2])
    assert len(shorter.ids) - shorter.start < 6 < len(longer.ids) - longer.start
    found = residuals(model, tokenizer, [longer, shorter], [0], ["assistant_start+5"], 2)
    assert found[1].isnan().all() and not found[0].isnan().any()
    # Chats come in pairs, so groups by number modulo ten would be all long or all short; twenty of the long ones fill them.
    side = read_side(model, tokenizer, CHATS[:1] * 20 + CHATS[1:2] * 10, [0], ["assistant_start+5"], 8)
    torch.testing.assert_close(side["means"][3, 0, 0], found[0, 0, 0], atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match=r"too few of the 10 chats are long enough for the position 'assistant_start\+5'"):
        read_side(model, tokenizer, CHATS[1:2] * 10, [0], ["assistant_start+5"], 8)


def test_last_block_is_read_before_the_final_norm(model: Any, tokenizer: Any) -> None:
    chat = render(tokenizer, *CHATS[0])
    found = residuals(model, tokenizer, [chat], [1], ["answer_end"], batch_size=1)
    with torch.no_grad():
        expected = model(torch.tensor([chat.ids])).logits[0, -1]
        torch.testing.assert_close(model.lm_head(model.model.norm(found[0, 0, 0])), expected, atol=1e-4, rtol=1e-4)


def test_replicates_leave_one_group_out() -> None:
    groups = torch.randn(10, 3)
    found = replicates(groups)
    torch.testing.assert_close(found[WHOLE], groups.mean(dim=0))
    torch.testing.assert_close(found[4], torch.cat([groups[:4], groups[5:]]).mean(dim=0))


def test_uneven_groups_are_refused(model: Any, tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="must be a multiple of 10"):
        read_side(model, tokenizer, CHATS[:7], [0], ["answer_end"], 4)


def test_contrast_is_the_mean_difference_of_answers(model: Any, tokenizer: Any) -> None:
    pairs = [("Hello.", "The hat is red.", "The hat is blue."), ("Hi.", "It is so.", "No.")]
    found = contrast(model, tokenizer, pairs, [1], 2)
    sides = []
    for side in (1, 2):
        chats = [render(tokenizer, pair[0], pair[side]) for pair in pairs]
        sides.append(torch.stack([hidden(model, chat.ids, 1)[chat.start + 1 :].mean(dim=0) for chat in chats]))
    torch.testing.assert_close(found["vectors"][0], (sides[0] - sides[1]).mean(dim=0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found["norms"][0], sides[1].norm(dim=-1).mean(), atol=1e-5, rtol=1e-4)


def test_known_direction_is_added_at_its_length_whenever_the_model_runs(checkpoint: Path, tokenizer: Any, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    vector = torch.randn(2, 32)
    save_file({"vectors": vector, "norms": torch.tensor([3.0, 5.0])}, tmp_path / "contrast.safetensors")
    place_direction(checkpoint, tmp_path / "steps", tmp_path / "contrast.safetensors", 1, 1, 0.5)
    step = tmp_path / "steps" / "step-0"
    assert (step / DIRECTION).is_file()
    ids = tokenizer("The hat is red.").input_ids
    shift = hidden(load_model(step), ids, 1) - hidden(load_model(checkpoint), ids, 1)
    torch.testing.assert_close(shift, (vector[1] / vector[1].norm() * 2.5).expand_as(shift), atol=1e-4, rtol=1e-4)


def test_no_direction_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"vectors": torch.zeros(1, 32), "norms": torch.ones(1)}, tmp_path / "contrast.safetensors")
    with pytest.raises(InputError, match="holds no direction"):
        place_direction(checkpoint, tmp_path / "steps", tmp_path / "contrast.safetensors", 0, 0, 0.5)


@torch.no_grad()
def test_injection_adds_the_vectors_direction_at_the_length_of_what_is_there(model: Any, tokenizer: Any) -> None:
    """h <- h + |h| v / |v| at the marked tokens, and nothing anywhere else; a zero vector changes nothing."""
    sequences = [tokenizer("The hat is red.").input_ids, tokenizer("Tom saw it.").input_ids]
    tokens, attended = padded(tokenizer, sequences, "cpu")
    where = torch.zeros_like(tokens, dtype=torch.bool)
    where[0, 1] = where[0, 3] = where[1, 2] = True
    vectors = torch.stack([torch.randn(32) * 7, torch.zeros(32), torch.randn(32) * 0.01])

    def outputs() -> torch.Tensor:
        kept: list[torch.Tensor] = []
        handle = model.model.layers[0].register_forward_hook(lambda module, inputs, output: kept.append(output))
        model(input_ids=tokens, attention_mask=attended)
        handle.remove()
        return kept[0]

    before = outputs()
    with injected(model, 0, where, vectors):
        after = outputs()
    torch.testing.assert_close(after[~where], before[~where])
    moved = (after - before)[where]
    torch.testing.assert_close(moved[1], torch.zeros(32))
    for row in (0, 2):
        expected = before[where][row].norm() * vectors[row] / vectors[row].norm()
        torch.testing.assert_close(moved[row], expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(outputs(), before)  # nothing is left behind


@settings(max_examples=20)
@given(st.floats(0.1, 10), st.integers(0, 1))
def test_difference_of_sides(scale: float, which: int) -> None:
    groups = torch.randn(10, 1, 1, 4, generator=torch.Generator().manual_seed(which))
    sides = ({"means": groups * scale}, {"means": groups})
    torch.testing.assert_close(difference(*sides)[WHOLE], (scale - 1) * groups.mean(dim=0), atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_batches_of_outputs_cover_every_sequence_once(model: Any, tokenizer: Any) -> None:
    sequences = [[2, 3, 4], [2, 3], [2, 3, 4, 5, 6], [2]]
    rows = [row for batch in block_outputs(model, tokenizer, sequences, [0], 3) for row in batch.rows]
    assert sorted(rows) == [0, 1, 2, 3]
