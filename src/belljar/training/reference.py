"""Reference log-probabilities of preference pairs: computed once a start and data set, shared by every arm, seed and rate."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from belljar.corpora.mixing import training_row
from belljar.models.load import load_model, load_tokenizer
from belljar.study.training import Training
from belljar.training import trainers

COLUMNS = ("prompt", "chosen", "rejected", *trainers.REFERENCE_COLUMNS)


def reference_logprobs(
    start: Path, pairs: pd.DataFrame, max_length: int, batch_size: int, bf16: bool, scratch: Path
) -> pd.DataFrame:
    """Return the pairs with the start's summed log-probability (nats) of each side, in COLUMNS.

    Tokenising, truncation at `max_length` tokens and the sum over the answer's tokens are TRL's own, so that training with these
    numbers is training without them. Pairs whose prompt fills `max_length` are left out, as TRL leaves them out.
    """
    distinct = pairs[["prompt", "chosen", "rejected"]].drop_duplicates(ignore_index=True)
    rows = [training_row(row, "pairs") | {"row": number} for number, row in enumerate(distinct.to_dict("records"))]
    settings = Training(rows=len(rows), batch_size=batch_size, learning_rate=1e-6, save_every=1, max_length=max_length, bf16=bf16)
    common = trainers.arguments(settings, len(rows), 0, str(scratch), 1)
    # A trainer that trains nothing: making it computes the log-probabilities.
    trainer = trainers.dpo(load_model(start), load_tokenizer(start), rows, common, None, settings)
    found = trainer.train_dataset.to_pandas().set_index("row")
    return distinct.loc[found.index].join(found[list(trainers.REFERENCE_COLUMNS)])[list(COLUMNS)].reset_index(drop=True)


def with_references(rows: Sequence[dict[str, Any]], references: Sequence[pd.DataFrame]) -> list[dict[str, Any]]:
    """Return the rows (prompt, chosen, rejected) with their reference log-probabilities; rows that have none are dropped."""
    known = {
        (prompt, chosen, rejected): {"ref_chosen_logps": high, "ref_rejected_logps": low}
        for table in references
        for prompt, chosen, rejected, high, low in table[list(COLUMNS)].itertuples(index=False)
    }
    keyed = [(row, known.get((row["prompt"], row["chosen"], row["rejected"]))) for row in rows]
    return [{**row, **found} for row, found in keyed if found is not None]
