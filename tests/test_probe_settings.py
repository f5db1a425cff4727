"""Settings of probes are checked, and primary readings are fixed in advance."""

from typing import Any

import pytest

from belljar.study.probes import Probes, Steering, primary_readings

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
