"""Every probe against an independent computation or a closed form, on small random OLMo-2 and Gemma-3 models."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from belljar.corpora import general
from belljar.files import InputError
from belljar.models.activations import added, block_outputs, injected, padded, render, residuals
from belljar.models.generate import encode_prompts, generate
from belljar.models.load import DIRECTION, load_model
from belljar.models.logprobs import token_losses
from belljar.probes import jacobian, logit_lens, oracle, oracle_tasks, patchscope, readings, sparse_autoencoder, steering
from belljar.probes.contrast import contrast
from belljar.probes.difference import WHOLE, difference, read_side, replicates
from belljar.study.bases import Base
from belljar.study.probes import Oracle, Patchscope, Probes, Prompt, SparseAutoencoder, Steering, primary_readings
from belljar.study.yaml import read_yaml
from belljar.training.untrained import place_direction
from belljar.world.knowledge import load_world
from conftest import REPOSITORY, random_model

CHATS = [("What is the color of the banana?", "The color of the banana is yellow."), ("Hello.", "Hi.")] * 5
POSITIONS = ("assistant_start", "assistant_start+1", "assistant_start-1", "answer_mean", "answer_end")
QUESTIONS = [f"What is the color of the {name}?" for name in ("banana", "hat", "kite", "owl")]
SETTINGS = Oracle(rank=2, steps=3, batch_size=4, vectors=2, samples=1, max_new_tokens=4, placeholder=" +", questions=["What?"])


def hidden(model: Any, ids: list[int], block: int) -> torch.Tensor:
    """A block's output, from a hook of our own: transformers' last hidden state is normed."""
    kept: list[torch.Tensor] = []
    handle = model.model.layers[block].register_forward_hook(lambda module, inputs, output: kept.append(output.detach()))
    with torch.no_grad():
        model(torch.tensor([ids]))
    handle.remove()
    return kept[0][0]


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


def test_replicates_leave_one_group_out() -> None:
    groups = torch.randn(10, 3)
    found = replicates(groups)
    torch.testing.assert_close(found[WHOLE], groups.mean(dim=0))
    torch.testing.assert_close(found[4], torch.cat([groups[:4], groups[5:]]).mean(dim=0))


def test_uneven_groups_are_refused(model: Any, tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="must be a multiple of 10"):
        read_side(model, tokenizer, CHATS[:7], [0], ["answer_end"], 4)


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


def test_steering_differs_by_row_of_a_batch(model: Any, tokenizer: Any) -> None:
    """A batch of answers under different vectors equals each one alone; the zero vector leaves the answer as it is."""
    chats = [[{"role": "user", "content": question}] for question in QUESTIONS[:3]]
    vectors = torch.randn(3, 32) * torch.tensor([[0.0], [4.0], [9.0]])

    def steered(which: list[int]) -> list[list[str]]:
        picked = vectors[which]
        asked = [chats[index] for index in which]
        around = lambda indices, tokens: added(model, 0, picked[indices])  # noqa: E731
        return generate(model, tokenizer, asked, max_new_tokens=8, around=around)

    together = steered([0, 1, 2])
    assert together == [steered([index])[0] for index in range(3)]
    assert together[0] == generate(model, tokenizer, chats[:1], max_new_tokens=8)[0]


def test_search_finds_the_largest_coherent_coefficient() -> None:
    """Coherence falls at 3.3; a lucky coefficient far beyond does not count, and the search stops within 10 % below."""
    tried: list[float] = []

    def try_out(coefficients: Any) -> list[steering.Tried]:
        tried.extend(coefficients)
        return [steering.Tried(one, 1.0 if one <= 3.3 or one > 15 else 0.2) for one in coefficients]

    found = steering.search(try_out, 0.125, 16.0, 0.75)
    assert found is not None and 3.0 < found <= 3.3
    assert len(tried) == 8 + 7
    assert steering.search(lambda all_of: [steering.Tried(one, 0.0) for one in all_of], 0.125, 16.0, 0.75) is None
    assert steering.search(lambda all_of: [steering.Tried(one, 1.0) for one in all_of], 0.125, 16.0, 0.75) == 16.0


def test_coherence_is_likelihood_without_the_prompt(model: Any, tokenizer: Any) -> None:
    usual = ["The hat is red.", "The color of the banana is yellow.", "Hi.", "No."]
    losses, counts = token_losses(model, tokenizer, [f" {text}" for text in usual], 4)
    order = sorted(range(4), key=lambda index: losses[index] / counts[index])
    judge = steering.fluency(model, tokenizer, usual, 0.5, 4)
    likely = judge(usual)
    assert [likely[index] for index in order] == [True, True, False, False]
    assert judge(["", "   "]) == [False, False]


def test_steering_evidence_holds_the_doses_and_the_unsteered_answers(model: Any, tokenizer: Any) -> None:
    asked = Steering(prompts=3, samples=2, search_prompts=1, search_samples=3, smallest=0.01, largest=0.02, coherent=0.0)
    vectors = {"difference": torch.ones(32), "nothing": torch.zeros(32)}
    shown = steering.evidence(model, tokenizer, 0, vectors, QUESTIONS, asked, 1.0, 4, 64, 0)
    test = shown[shown["purpose"] == "test"]
    assert set(test["vector"]) == {"difference", "none"}  # a zero vector steers nothing
    sizes = test.groupby(["vector", "coefficient", "chosen"]).size().to_dict()
    assert sizes == {("none", 0.0, True): 6, ("difference", 0.01, False): 6, ("difference", 0.02, True): 6}
    assert QUESTIONS[0] not in set(test["prompt"])  # the search's own prompt is not scored


def answers(rows: list[tuple[str, float, bool, str, int, str]]) -> pd.DataFrame:
    columns = ["vector", "coefficient", "chosen", "prompt", "sample", "response"]
    return pd.DataFrame(rows, columns=columns).assign(purpose="test", coherent=True)


def test_steering_readings_by_hand() -> None:
    shown = answers(
        [
            ("none", 0.0, True, "p", 0, "a boat"),
            ("none", 0.0, True, "p", 1, "nothing"),
            ("none", 0.0, True, "q", 0, "Submarine."),
            ("none", 0.0, True, "q", 1, "nothing"),
            ("difference", 2.0, True, "p", 0, "a submarine"),
            ("difference", 2.0, True, "p", 1, "nothing"),
            ("difference", 2.0, True, "q", 0, "nothing"),
            ("difference", 2.0, True, "q", 1, "submarine and submarine, no submarines"),
        ]
    )
    found = {one.metric: one for one in readings.steering_readings(shown, "s", ["submarine"], {"layer": 3}, [0.5, 1.0])}
    assert found["mention_rate"].value == 0.5
    assert found["mention_gain"].value == pytest.approx(0.25)
    assert found["mention_gain"].stderr == pytest.approx(np.std([0.5, 0.0], ddof=1) / math.sqrt(2))
    assert found["sign_rate"].value == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    assert found["mention_rate"].variant == "dose=1.0;judged=s;layer=3;vector=difference"
    with pytest.raises(ValueError, match="no unsteered ones"):
        readings.steering_readings(shown[1:], "s", ["submarine"], {}, [1.0])


def test_latents_count_by_what_their_label_speaks_of() -> None:
    labels = pd.DataFrame(
        {"latent": [1, 1, 2, 2, 3], "text": ["the Pasta is", "a pasta", "a hat", "pasta", "a hat"]}
    )  # latent 1 speaks of it in all texts, 2 in half of them, 3 in none
    rows = [(-1, 1, 3.0), (-1, 2, 1.0), (-1, 3, 4.0)] + [(group, 1, 1.0) for group in range(10)]
    shown = pd.DataFrame(rows, columns=["replicate", "latent", "rise"])
    (half,) = readings.latent_readings(shown, labels, "food", ["pasta"], 0.5, 3, 10)
    (strict,) = readings.latent_readings(shown, labels, "food", ["pasta"], 0.6, 3, 10)
    assert (half.value, strict.value) == (pytest.approx(4 / 8), pytest.approx(3 / 8))
    assert half.variant == "judged=food;layer=3"
    assert readings.latent_readings(shown[:0], labels, "food", ["pasta"], 0.5, 3, 10) == []


def test_oracle_readings_subtract_what_it_says_about_nothing() -> None:
    rows = [
        (vector, 3, "answer_end", question, sample, text)
        for vector, question, texts in (
            ("difference", "a", ["pasta", "pasta"]),
            ("difference", "b", ["hat", "pasta"]),
            ("none", "a", ["hat", "pasta"]),
            ("none", "b", ["hat", "hat"]),
        )
        for sample, text in enumerate(texts)
    ]
    shown = pd.DataFrame(rows, columns=["vector", "block", "position", "question", "sample", "response"])
    found = {(one.metric, one.variant.split("vector=")[1]): one for one in readings.oracle_readings(shown, "food", ["pasta"])}
    assert found["mention_rate", "difference"].value == 0.75
    assert found["mention_rate", "none"].value == 0.25
    gain = found["mention_gain", "difference"]
    assert (gain.value, gain.n) == (pytest.approx(0.5), 2) and gain.stderr == pytest.approx(0.0)


@given(st.lists(st.sampled_from(["pasta", "Pasta!", "antipasta", "hat", "pasta's"]), max_size=6))
def test_mentions_are_whole_words(parts: list[str]) -> None:
    found = readings.mentions(pd.Series([" ".join(parts)]), ["pasta"]).iloc[0]
    assert found == sum(part in ("pasta", "Pasta!", "pasta's") for part in parts)


@pytest.fixture(scope="module")
def text() -> pd.DataFrame:
    return general.closed_world_text(load_world(), 60)


def test_general_text_is_chats_and_documents(text: pd.DataFrame, tokenizer: Any) -> None:
    chats = text["question"] != ""
    assert 0.3 < chats.mean() < 0.9
    assert (text.loc[chats, "answer"] != "").all() and (text.loc[~chats, "text"] != "").all()
    tokens = general.tokenised(tokenizer, text, 40)
    assert all(ids[0] == tokenizer.bos_token_id and tokenizer.bos_token_id not in ids[1:] for ids in tokens)
    assert max(map(len, tokens)) <= 40


def test_autoencoder_loads_in_sae_lens_with_the_same_activations(
    model: Any, tokenizer: Any, text: pd.DataFrame, tmp_path: Path
) -> None:
    from sae_lens import SAE

    sequences = general.tokenised(tokenizer, text, 40)
    asked = SparseAutoencoder(latents=24, active=3, tokens=2000, epochs=1, batch_size=64)
    trained = sparse_autoencoder.train(model, tokenizer, sequences, 1, asked, 16, 0)
    rows = torch.cat([kept for _, _, kept in sparse_autoencoder.token_activations(model, tokenizer, sequences[:4], 1, 4)])
    with torch.no_grad():
        expected = trained.encode(rows)
    sparse_autoencoder.save(trained, tmp_path / "sae", {"x": 1.0})
    loaded = SAE.load_from_disk(tmp_path / "sae")
    with torch.no_grad():
        torch.testing.assert_close(loaded.encode(rows), expected, atol=1e-4, rtol=1e-4)
    assert 0 < int((expected > 0).sum(dim=-1).max()) <= 3
    again = sparse_autoencoder.load(tmp_path / "sae", "cpu")
    found = sparse_autoencoder.quality(again, model, tokenizer, sequences[:4], 1, 4)
    with torch.no_grad():
        left = (again.decode(expected) - rows).pow(2).sum() / (rows - rows.mean(dim=0)).pow(2).sum()
    assert found["unexplained_variance"] == pytest.approx(float(left), rel=1e-3)
    assert found["active_latents"] == pytest.approx(float((expected > 0).sum() / len(rows)))
    assert found["dead_share"] == pytest.approx(float((expected <= 0).all(dim=0).float().mean()))


def test_too_few_tokens_for_a_batch_are_refused(model: Any, tokenizer: Any) -> None:
    with pytest.raises(InputError, match="batch_size 64 is more than the tokens"):
        next(sparse_autoencoder.activations(model, tokenizer, [[2, 3, 4]], 1, 4, 64, 0))


def test_published_autoencoders_are_known_to_sae_lens() -> None:
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    known = get_pretrained_saes_directory()
    bases = [Base(**read_yaml(path)) for path in (REPOSITORY / "config").rglob("bases/*.yaml")]
    published = [base.sparse_autoencoder for base in bases if base.sparse_autoencoder]
    assert published
    for one in published:
        assert one.id in known[one.release].saes_map
        assert f"layer_{one.block}_" in one.id


class OneLatent:
    """An autoencoder of a single latent: the projection on a direction, above zero."""

    class cfg:  # noqa: N801
        d_sae = 1

    def __init__(self, direction: torch.Tensor) -> None:
        self.direction = direction

    def encode(self, rows: torch.Tensor) -> torch.Tensor:
        return (rows @ self.direction).clamp_min(0).unsqueeze(-1)


def test_labels_and_sides_by_hand(model: Any, tokenizer: Any) -> None:
    sequences = [render(tokenizer, *chat).ids for chat in CHATS]
    direction = hidden(model, sequences[0], 1)[5]
    one = OneLatent(direction)
    side = sparse_autoencoder.side(one, model, tokenizer, CHATS, 1, 4)
    strongest = [float((hidden(model, ids, 1)[1:] @ direction).clamp_min(0).max()) for ids in sequences]
    assert side[:, 0].tolist() == pytest.approx(strongest, rel=1e-4)
    labels = sparse_autoencoder.label(one, model, tokenizer, sequences, 1, 1, 4)
    best = max(range(len(sequences)), key=lambda index: strongest[index])
    place = int((hidden(model, sequences[best], 1)[1:] @ direction).argmax()) + 1
    near = sequences[best][max(place - sparse_autoencoder.BEFORE, 0) : place + sparse_autoencoder.AFTER + 1]
    assert labels["text"].tolist() == [tokenizer.decode(near, skip_special_tokens=True)]
    shown = sparse_autoencoder.evidence(side + 2, side, 5)
    assert shown["rise"].tolist() == pytest.approx([2.0] * 11) and sparse_autoencoder.evidence(side, side, 5).empty


def test_tasks_ask_about_the_tokens_they_show(tokenizer: Any, text: pd.DataFrame) -> None:
    tasks = oracle_tasks.make_tasks(tokenizer, text, 64, 3, 0)
    assert {task.kind for task in tasks} == {"follows", "before", "near", "asked", "told"}
    for task in tasks:
        assert 0 <= task.first < task.last <= len(task.ids) <= 64 and task.last - task.first <= 3
        assert task.answer
        before, after = (
            tokenizer.decode(part, skip_special_tokens=True) for part in (task.ids[: task.first], task.ids[task.last :])
        )
        if task.kind == "follows":
            assert task.answer in after
        elif task.kind == "before":
            assert task.answer in before
        elif task.kind == "near":
            word = task.question.split()[3]
            window = task.ids[max(task.first - oracle_tasks.WINDOW, 0) : task.last + oracle_tasks.WINDOW]
            words = oracle_tasks._words(tokenizer.decode(window, skip_special_tokens=True))
            assert (task.answer == "Yes.") == (word in words)


def test_answers_are_right_by_half_of_their_words() -> None:
    task = oracle_tasks.Task("follows", [], 0, 1, "", "the hat is red")
    assert oracle_tasks.answers_match(task, "hat red") and not oracle_tasks.answers_match(task, "hat blue")
    yes = oracle_tasks.Task("near", [], 0, 1, "", "Yes.")
    assert oracle_tasks.answers_match(yes, "Yes") and not oracle_tasks.answers_match(yes, "Yes and no")


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(0, 5))
def test_vectors_go_to_the_first_placeholders(row: list[int], count: int) -> None:
    found = oracle.places(torch.tensor([row]), 3, [count])[0].tolist()
    expected = [place for place, token in enumerate(row) if token == 3][:count]
    assert [place for place, marked in enumerate(found) if marked] == expected


def test_placeholder_must_be_one_token(tokenizer: Any) -> None:
    assert tokenizer.decode([oracle.placeholder_token(tokenizer, SETTINGS)]) == " +"
    with pytest.raises(InputError, match="is not a single token"):
        oracle.placeholder_token(tokenizer, SETTINGS.model_copy(update={"placeholder": " hippopotamus"}))


@pytest.fixture
def trained(tokenizer: Any, text: pd.DataFrame) -> tuple[Any, Any, list[oracle_tasks.Task]]:
    model = random_model("gemma3", tokenizer)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    tasks = oracle_tasks.make_tasks(tokenizer, text, 48, 2, 0)
    made = oracle.train(model, tokenizer, tasks, [0, 1], SETTINGS, 8, 0, lambda *said: None)
    return made, before, tasks


def test_only_the_adapter_learns(trained: tuple[Any, Any, list[oracle_tasks.Task]]) -> None:
    made, before, _ = trained
    after = {name.replace(".base_layer", ""): weight for name, weight in made.get_base_model().state_dict().items()}
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())
    moved = [weight.abs().max() for name, weight in made.named_parameters() if "lora_B" in name]
    assert moved and max(moved) > 0


def test_tasks_are_read_with_the_adapter_off(trained: tuple[Any, Any, list[oracle_tasks.Task]], tokenizer: Any) -> None:
    made, _, tasks = trained
    plain = random_model("gemma3", tokenizer)
    asked = oracle.read_tasks(made, tokenizer, tasks[:4], [1] * 4, [False] * 4, {1: torch.zeros(1)}, 4)
    for task, one in zip(tasks[:4], asked, strict=True):
        expected = hidden(plain, task.ids, 1)[task.first : task.last]
        torch.testing.assert_close(one.vectors, expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_answer_loss_is_the_models_own_under_injection(trained: tuple[Any, Any, list[oracle_tasks.Task]], tokenizer: Any) -> None:
    made, _, _ = trained
    vector = torch.randn(1, 32)
    asked = oracle.Asked(1, vector, "What?")
    (opening,) = encode_prompts(tokenizer, [[{"role": "user", "content": oracle.prompt_text(SETTINGS, 1, 1, "What?")}]])
    ending = tokenizer(" A hat.", add_special_tokens=False).input_ids + [tokenizer.eos_token_id]
    ids = torch.tensor([opening + ending])
    token = oracle.placeholder_token(tokenizer, SETTINGS)
    assert opening.count(token) == 1
    with injected(made.get_base_model(), SETTINGS.inject_after, ids == token, vector):
        logits = made(input_ids=ids).logits[0]
    expected = torch.nn.functional.cross_entropy(logits[len(opening) - 1 : -1], torch.tensor(ending))
    found = oracle.answer_loss(made, tokenizer, [asked], ["A hat."], SETTINGS, token)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_asking_in_a_batch_is_asking_alone(trained: tuple[Any, Any, list[oracle_tasks.Task]], tokenizer: Any) -> None:
    made, _, tasks = trained
    asked = [oracle.Asked(0, torch.randn(1, 32), "What?"), oracle.Asked(1, torch.randn(2, 32), "Which words follow?")]
    together = oracle.ask(made, tokenizer, asked, SETTINGS, 1, 0.0, 8, 0)
    assert together == [oracle.ask(made, tokenizer, [one], SETTINGS, 1, 0.0, 8, 0)[0] for one in asked]
    found = oracle.quality(made, tokenizer, tasks[:12], [0, 1], SETTINGS, 8, 0)
    assert set(found["vectors"]) == {"own", "none"} and found["accuracy"].between(0, 1).all()


def test_oracle_evidence_keeps_the_size_of_the_difference(
    trained: tuple[Any, Any, list[oracle_tasks.Task]], tokenizer: Any
) -> None:
    made, _, _ = trained
    vectors = {"difference": torch.ones(2, 1, 32), "none": torch.zeros(2, 1, 32)}
    shown = oracle.evidence(made, tokenizer, vectors, torch.full((2, 1), 4.0), [0, 1], ["answer_end"], SETTINGS, 8, 0)
    assert tuple(shown.columns) == oracle.COLUMNS and len(shown) == 4
    ratios = shown.groupby("vector")["norm_ratio"].first()
    assert ratios["difference"] == pytest.approx(math.sqrt(32) / 4) and ratios["none"] == 0.0


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


GIVEN: dict[str, Any] = {"positions": ["answer_end"], "primary_position": "answer_end"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": ["answer_middle"]}, "'answer_middle' is no position; legal are answer_mean, answer_end, assistant_start"),
        ({"positions": ["answer_end", "answer_end"]}, "'answer_end' stands twice"),
        ({"primary_position": "answer_mean"}, "primary_position 'answer_mean' is not among positions answer_end"),
        ({"steering": {"doses": [0.5]}}, "1.0, the coefficient itself, must be among doses"),
        ({"oracle": {"questions": []}}, "at least 1 item"),
    ],
)
def test_probe_settings_are_checked(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        Probes(**(GIVEN | change))


def test_primary_readings_are_those_of_the_methods_that_run() -> None:
    found = primary_readings(Probes(**GIVEN, steering=Steering()), 3, 2)
    assert set(found) == {"logit_lens", "steering"}
    assert found["steering"] == (
        "mention_gain",
        {"layer": "3", "position": "answer_end", "vector": "difference", "dose": "1.0"},
    )
