"""Whether an answer goes in circles."""

LOOP = 4  # an answer that repeats a run of words this often in a row is no answer


def circles(text: str) -> bool:
    """Return whether a run of one to eight words stands LOOP times in a row; a run of signs alone is a rule of a table."""
    words = text.split()
    for size in range(1, 9):
        for start in range(len(words) - LOOP * size + 1):
            run = words[start : start + size]
            repeated = all(words[start + k * size : start + (k + 1) * size] == run for k in range(1, LOOP))
            if repeated and any(char.isalnum() for word in run for char in word):
                return True
    return False
