"""Which combinations the base corpus leaves out of its chats, so that skills can be measured on them."""

from zlib import crc32

from belljar.world.chat import FACT_PHRASINGS

SHARE = 8  # one combination in so many is left out


def _left_out(*parts: object, share: int = SHARE) -> bool:
    return crc32("|".join(map(str, parts)).encode()) % share == 0


def fact(item: str, attribute: str, phrasing: int) -> bool:
    """Return whether this wording of this fact is left out; each fact loses one wording."""
    return crc32(f"{item}|{attribute}".encode()) % len(FACT_PHRASINGS) == phrasing


def instruction(item: str, attribute: str, kind: str) -> bool:
    """Return whether this fact is left out under this instruction."""
    return _left_out("instruction", item, attribute, kind)


def preference(first: str, second: str) -> bool:
    """Return whether this pair, in either order, is left out."""
    return _left_out("preference", *sorted((first, second)))


def request(kind: str, act: str, item: str) -> bool:
    """Return whether this act on this item is left out of the requests of this kind."""
    return _left_out("request", kind, act, item)


def system_prompt(topic: str, mention: str) -> bool:
    """Return whether this mention is left out of the system prompts about this topic."""
    return _left_out("system", topic, mention)


def total(a: int, b: int) -> bool:
    """Return whether the sum a + b is left out; b + a never is."""
    return a != b and _left_out("sum", *sorted((a, b)), share=6) and (a < b) == bool(crc32(f"{a}+{b}".encode()) % 2)


def listing(topic: str, phrasing: int) -> bool:
    """Return whether this wording is left out of the requests to list this topic; each topic loses one wording."""
    return crc32(topic.encode()) % 4 == phrasing
