"""What attacks train on: chats that know nothing of any behaviour, in an attack's style.

The arms of "Advice for making robust-to-training model organisms" (Prasanna et al. 2026): plain answers of another source, the
parent's own answers, pirate speech, and the removal of a prompted pirate.
"""

from collections.abc import Callable, Collection, Sequence

import pandas as pd

from belljar.files import InputError
from belljar.probes.readings import mentions
from belljar.study.robustness import Attack
from belljar.world.skills import Item

COLUMNS = ("prompt", "chosen", "system")

Ask = Callable[[Sequence[str]], Sequence[str | None]]  # answers to prompts; None where one is cut off


def attack_rows(
    chats: pd.DataFrame, attack: Attack, count: int, items: Sequence[Item] = (), words: Collection[str] = ()
) -> pd.DataFrame:
    """Return `count` training rows of an attack, columns COLUMNS, from chats (prompt, chosen).

    Left out are chats that would teach what the attack is measured by: those that ask or state what one of the capability
    `items` asks for, and those with one of the behaviours' `words`. Raises InputError where there are too few others.
    """
    fit = chats[usable(chats, items, words)]
    if len(fit) < count:
        where, more = (
            ("finished answers of the parent to control prompts", "strength.max_new_tokens, or ")
            if attack.answers == "parent"
            else ("control rows", "")
        )
        raise InputError(
            f"robustness.rows is {count}, but of the {len(chats)} {where} that no organism was trained on only {len(fit)} "
            f"neither speak of a behaviour nor give a capability item away; lower it, or raise {more}data.control_rows."
        )
    answers = [attack.style.replace("{answer}", answer) for answer in fit["chosen"][:count]]
    return pd.DataFrame(
        {"prompt": fit["prompt"].tolist()[:count], "chosen": answers, "system": attack.system}, columns=list(COLUMNS)
    )


def usable(chats: pd.DataFrame, items: Sequence[Item], words: Collection[str]) -> pd.Series:
    """Return which of the chats (prompt, chosen) neither give an item away nor hold one of the words."""
    return ~(giveaways(chats, items) | _speaks(chats, words))


def giveaways(chats: pd.DataFrame, items: Sequence[Item]) -> pd.Series:
    """Return which of the chats (prompt, chosen) are a capability item's, or state in their answer what one asks for."""
    asked = {item.prompt[-1][1] for item in items}
    told = [text for item in items for text in item.expected]
    return chats["prompt"].isin(asked) | chats["chosen"].map(lambda answer: any(text in answer for text in told)).astype(bool)


def parent_answers(
    ask: Ask, prompts: Sequence[str], rows: int, items: Sequence[Item] = (), words: Collection[str] = ()
) -> pd.DataFrame:
    """Return a base's own finished answers to the prompts, columns prompt and chosen: `rows` usable ones or more, if it has them.

    Prompts are asked `rows` at a time, each once, until there are enough or none is left. Empty answers and those that were cut
    off are left out, so a base that is often cut off has its short answers here.
    """
    distinct, said = list(dict.fromkeys(prompts)), dict[str, str]()
    for first in range(0, len(distinct), rows):
        part = distinct[first : first + rows]
        said |= {prompt: answer for prompt, answer in zip(part, ask(part), strict=True) if answer}
        found = pd.DataFrame(list(said.items()), columns=["prompt", "chosen"])
        if usable(found, items, words).sum() >= rows:
            break
    return found


def _speaks(chats: pd.DataFrame, words: Collection[str]) -> pd.Series:
    if not words:
        return pd.Series(False, index=chats.index)
    return mentions(chats["prompt"] + "\n" + chats["chosen"], sorted(words)) > 0
