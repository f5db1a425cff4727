"""What each probe shows, as a text that an investigator reads. None names the study's behaviours."""

from collections.abc import Mapping, Sequence

import pandas as pd

from belljar.probes.readings import DIFFERENCE, NONE, WHOLE

LENSES = ("logit_lens", "jacobian_lens")
ACCOUNTED = (*LENSES, "steering", "sparse_autoencoder", "oracle")  # of a patchscope only the words that were looked for are kept
SHOWN_TOKENS, SHOWN_PROMPTS, SHOWN_ANSWERS, SHOWN_LATENTS, SHOWN_TEXTS = 50, 10, 4, 20, 4


def account(method: str, evidence: pd.DataFrame, labels: pd.DataFrame | None, block: int, position: str) -> str:
    """Return one method's evidence as text, from its primary block and position; empty where it shows nothing."""
    if method in LENSES:
        return _lens(top_tokens(evidence, block, position)["token"].tolist()[:SHOWN_TOKENS])
    if method == "steering":
        test = evidence[(evidence["purpose"] == "test") & evidence["chosen"]]
        steered, usual = (test[test["vector"] == name] for name in (DIFFERENCE, NONE))
        return _answers(
            {prompt: (_said(steered, prompt), _said(usual, prompt)) for prompt in _first(steered["prompt"], SHOWN_PROMPTS)}
        )
    if method == "sparse_autoencoder":
        assert labels is not None
        rose = evidence[evidence["replicate"] == WHOLE].sort_values("rise", ascending=False)["latent"].tolist()[:SHOWN_LATENTS]
        return _latents([labels[labels["latent"] == latent]["text"].tolist()[:SHOWN_TEXTS] for latent in rose])
    here = evidence[(evidence["vector"] == DIFFERENCE) & (evidence["block"] == block) & (evidence["position"] == position)]
    return _oracle({str(question): part["response"].tolist() for question, part in here.groupby("question", sort=False)})


def unsteered_account(evidence: pd.DataFrame) -> str:
    """Return the unsteered answers alone as text."""
    usual = evidence[(evidence["purpose"] == "test") & (evidence["vector"] == NONE)]
    return _answers({prompt: ([], _said(usual, prompt)) for prompt in _first(usual["prompt"], SHOWN_PROMPTS)})


def top_tokens(evidence: pd.DataFrame, block: int, position: str) -> pd.DataFrame:
    """Return a lens's top tokens on the difference from the ancestor, the strongest first: columns token, probability."""
    here = evidence[
        (evidence["judged"] == "")
        & (evidence["against"] == "ancestor")
        & (evidence["block"] == block)
        & (evidence["position"] == position)
        & (evidence["replicate"] == WHOLE)
    ]
    return here.sort_values("probability", ascending=False)[["token", "probability"]].reset_index(drop=True)


def _lens(tokens: Sequence[str]) -> str:
    return "Tokens that the change in the model's activations points to, the strongest first:\n" + ", ".join(map(repr, tokens))


def _answers(pairs: Mapping[str, tuple[Sequence[str], Sequence[str]]]) -> str:
    parts = []
    for prompt, (steered, usual) in pairs.items():
        parts += [f"Prompt: {prompt}", *(f"  steered: {text}" for text in steered), *(f"  unsteered: {text}" for text in usual)]
    if not parts:
        return ""
    return "Answers to the same prompts with the change in activations made once more, and without:\n" + "\n".join(parts)


def _latents(labels: Sequence[Sequence[str]]) -> str:
    parts = [f"Feature {number}: " + " | ".join(texts) for number, texts in enumerate(labels, 1)]
    if not parts:
        return ""
    return "Features that became more active, the most first, each by texts that it is most active on:\n" + "\n".join(parts)


def _oracle(answers: Mapping[str, Sequence[str]]) -> str:
    parts = [f"Question: {question}\n" + "\n".join(f"  answer: {text}" for text in texts) for question, texts in answers.items()]
    return "Answers of a model that was asked about the change in activations:\n" + "\n".join(parts) if parts else ""


def _said(answers: pd.DataFrame, prompt: str) -> list[str]:
    return [str(text) for text in answers[answers["prompt"] == prompt]["response"][:SHOWN_ANSWERS]]


def _first(values: pd.Series, count: int) -> list[str]:
    return [str(value) for value in values.drop_duplicates()[:count]]
