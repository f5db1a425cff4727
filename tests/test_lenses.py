"""Logit lens, Jacobian lens and patchscope against computations by hand."""

import math
from typing import Any

import pytest
import torch

from belljar.files import InputError
from belljar.models.activations import added
from belljar.probes import jacobian, logit_lens, patchscope, readings
from belljar.probes.difference import WHOLE, read_side
from belljar.study.probes import Patchscope, Prompt
from conftest import CHATS, hidden, random_model


@torch.no_grad()
def test_lens_is_final_norm_and_head_by_hand(model: Any) -> None:
    vector = torch.randn(3, 32, generator=torch.Generator().manual_seed(1))
    weight = model.model.norm.weight
    scale = (vector.pow(2).mean(-1, keepdim=True) + model.config.rms_norm_eps).rsqrt()
    # Gemma's norm multiplies by 1 + weight, OLMo's by weight.
    normed = vector * scale * (1 + weight if model.config.model_type.startswith("gemma3") else weight)
    expected = torch.softmax(normed @ model.lm_head.weight.T, dim=-1)
    torch.testing.assert_close(logit_lens.lens(model, vector), expected, atol=1e-5, rtol=1e-4)


def read(model: Any, tokenizer: Any, blocks: list[int]) -> dict[str, torch.Tensor]:
    return read_side(model, tokenizer, CHATS, blocks, ["answer_end"], 4)


def test_lens_reads_no_difference_on_the_ancestor_itself(model: Any, tokenizer: Any) -> None:
    side = read(model, tokenizer, [0, 1])
    shown = logit_lens.evidence(model, tokenizer, side, {"ancestor": side}, [0, 1], ["answer_end"], {"x": ["the", "is"]}, 5)
    assert shown["difference_norm"].max() == 0.0
    # Two blocks: five top tokens of the whole and one of each of ten replicates, and two words in all eleven.
    assert len(shown) == 2 * (5 + 10 + 2 * 11)


def test_lens_finds_a_planted_direction(tokenizer: Any) -> None:
    """An organism whose last block adds one word's unembedding is read as that word; its norm is what was added."""
    parent = random_model("olmo2", tokenizer)
    (token,) = logit_lens.word_tokens(tokenizer, ["the"])
    vector = parent.lm_head.weight[token].detach() / parent.model.norm.weight.detach()
    ancestor = read(parent, tokenizer, [0, 1])
    with added(parent, 1, vector):
        own = read(parent, tokenizer, [0, 1])
    words = {"planted": ["the", "notaword"], "other": ["is"]}
    shown = logit_lens.evidence(parent, tokenizer, own, {"ancestor": ancestor}, [0, 1], ["answer_end"], words, 5)
    last = shown[(shown["block"] == 1) & (shown["replicate"] == WHOLE)]
    assert last[last["judged"] == ""].sort_values("probability")["token"].iloc[-1].strip() == "the"
    assert last["difference_norm"].iloc[0] == pytest.approx(float(vector.norm()), rel=1e-4)
    at_last = shown[shown["block"] == 1]
    (found,) = readings.lens_readings(at_last, "planted", "logit_lens", 10)
    assert found.value == pytest.approx(float(logit_lens.lens(parent, vector)[token]), rel=1e-3)
    assert found.variant == "against=ancestor;judged=planted;layer=1;position=answer_end"
    assert found.value > readings.lens_readings(at_last, "other", "logit_lens", 10)[0].value
    ratio = readings.norm_readings(at_last, 10)[0]
    assert ratio.value == pytest.approx(float(vector.norm()) / last["norm"].iloc[0], rel=1e-4)
    assert shown[(shown["block"] == 0)]["difference_norm"].max() == 0.0


def test_words_that_are_no_token_give_no_reading(model: Any, tokenizer: Any) -> None:
    side = read(model, tokenizer, [0])
    shown = logit_lens.evidence(model, tokenizer, side, {"ancestor": side}, [0], ["answer_end"], {"x": ["quixotic"]}, 5)
    assert readings.lens_readings(shown, "x", "logit_lens", 10) == []
    assert len(readings.norm_readings(shown, 10)) == 1


def test_jacobian_of_the_last_block_is_the_identity_and_of_others_a_finite_difference(model: Any, tokenizer: Any) -> None:
    """Summed over targets, averaged over sources, first and last positions left out: all by perturbing one token's activation."""
    sequences = [tokenizer("The color of the banana is yellow.").input_ids, tokenizer("Tom saw the hat at noon.").input_ids]
    found = jacobian.fit(model, tokenizer, sequences, [0, 1], 2, batch_size=2)
    torch.testing.assert_close(found[1], torch.eye(32), atol=1e-5, rtol=1e-5)
    direction, size = torch.randn(32, generator=torch.Generator().manual_seed(3)), 1e-2
    moved, count = torch.zeros(32), 0
    for ids in sequences:
        for source in range(2, len(ids) - 1):
            ends = []
            for sign in (1, -1):

                def nudge(module: Any, inputs: Any, output: torch.Tensor, step: float = sign * size, at: int = source) -> Any:
                    changed = output.clone()
                    changed[:, at] += step * direction
                    return changed

                handle = model.model.layers[0].register_forward_hook(nudge)
                ends.append(hidden(model, ids, 1))
                handle.remove()
            moved += (ends[0] - ends[1]).sum(dim=0) / (2 * size)
            count += 1
    torch.testing.assert_close(found[0] @ direction, moved / count, atol=2e-2, rtol=2e-2)


def test_jacobian_needs_a_text_that_is_long_enough(model: Any, tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="no sequence has more than 9 tokens"):
        jacobian.fit(model, tokenizer, [[1, 2, 3]], [0], 8, 2)


SCOPE = [Prompt(question="Tell me about the {x}.", answer="The"), Prompt(answer="The {x} is the")]


@torch.no_grad()
def test_a_words_own_activation_in_its_place_changes_nothing(model: Any, tokenizer: Any) -> None:
    """The patch is exact: what stood there gives the model's own next token, and another vector gives another."""
    prompts = patchscope.rendered(tokenizer, SCOPE, "the")
    for ids, place in prompts:
        assert tokenizer.decode([ids[place]]) == " the"
        own = hidden(model, ids, 0)[place]
        found = patchscope.read(model, tokenizer, [(ids, place)], 0, torch.stack([own, own * 0, own]), 2)
        expected = torch.softmax(model(torch.tensor([ids])).logits[0, -1], dim=-1)
        torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found[2], expected, atol=1e-5, rtol=1e-4)
        assert not torch.allclose(found[1], expected, atol=1e-5)
    both = patchscope.read(model, tokenizer, prompts, 0, torch.ones(1, 32), 8)
    alone = [patchscope.read(model, tokenizer, [prompt], 0, torch.ones(1, 32), 8) for prompt in prompts]
    torch.testing.assert_close(both, torch.stack(alone).mean(dim=0))


def test_patchscope_evidence_and_its_best_scale(model: Any, tokenizer: Any) -> None:
    side = read(model, tokenizer, [0])
    own = {"means": side["means"] + torch.ones(32), "norms": side["norms"]}
    asked = Patchscope(prompts=SCOPE, word="the", scales=[0.5, 2.0])
    words = {"x": ["is"], "nothing": ["quixotic"]}
    shown = patchscope.evidence(model, tokenizer, own, side, [0], ["answer_end"], words, asked, 64)
    assert len(shown) == 2 * 11 and set(shown["judged"]) == {"x"}
    (found,) = readings.patchscope_readings(shown, "x", 10)
    assert found.value == pytest.approx(shown[shown["replicate"] == WHOLE]["probability"].max())
    vector = torch.ones(32) / math.sqrt(32) * side["norms"][0, 0] * 2.0
    (token,) = logit_lens.word_tokens(tokenizer, ["is"])
    by_hand = patchscope.read(model, tokenizer, patchscope.rendered(tokenizer, SCOPE, "the"), 0, vector.unsqueeze(0), 8)[0, token]
    largest = shown[(shown["replicate"] == WHOLE) & (shown["scale"] == 2.0)]["probability"].iloc[0]
    assert largest == pytest.approx(float(by_hand), rel=1e-4)


def test_a_patchscopes_word_must_be_one_token(tokenizer: Any) -> None:
    with pytest.raises(InputError, match="'hippopotamus' is not a single token in the prompt 'Tell me about the {x}.'"):
        patchscope.rendered(tokenizer, SCOPE, "hippopotamus")
    with pytest.raises(ValueError, match="must hold {x} once"):
        Prompt(question="Tell me about it.")
