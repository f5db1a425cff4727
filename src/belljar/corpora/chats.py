"""Chats that have nothing to do with any behaviour, for reading activations."""

from belljar.corpora.prompts import control_questions, digest, split_of
from belljar.files import InputError
from belljar.study.control import Control
from belljar.world.chat import answer
from belljar.world.knowledge import World


def unrelated_chats(world: World, control: Control, count: int) -> list[tuple[str, str]]:
    """Return `count` (question, normal answer) about the control topics, none of them a training prompt.

    Raises InputError where there are fewer.
    """
    found = [question for question in control_questions(world, control) if split_of(question.text, False) != "train"]
    found.sort(key=lambda question: digest(question.text + " chats"))
    if len(found) < count:
        raise InputError(
            f"probes.chats is {count}, but control.topics give only {len(found)} chats; lower it, or name more topics."
        )
    return [(question.text, answer(world, question)) for question in found[:count]]
