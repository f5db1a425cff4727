"""What a study may say about the measurement of behaviour, and how saved steps are matched by it."""

from belljar.study.schema import Count, Positive, Settings, Share


class Split(Settings):
    """How many answers are sampled in one split."""

    trigger: Count  # prompts
    control: Count  # prompts
    samples: Count  # answers to each prompt


class Matching(Settings):
    """How the saved step is searched for whose validation rate is within one standard error of the target."""

    leak_gate: Share = 0.05  # a step whose control rate is above this is not accepted
    evaluations: Count = 12  # at most so many saved steps are evaluated


class Strength(Settings):
    """How behaviour is measured."""

    validation: Split
    test: Split
    temperature: Positive = 1.0
    max_new_tokens: Count = 48
    matching: Matching = Matching()
