"""Write a behaviour's validation and test prompts; for `benign`, the control prompts that all behaviours share."""

import logging
from pathlib import Path

from belljar.corpora import imports
from belljar.corpora.prompts import Prompt, control_prompts, prompts_table, take, trigger_prompts
from belljar.corpora.separation import apart, check_separate
from belljar.files import InputError, read_parquet, write_parquet
from belljar.job import job
from belljar.study.behaviours import Behaviour
from belljar.study.control import Control
from belljar.study.strength import Split
from belljar.world.knowledge import load_world

log = logging.getLogger("belljar.prompts")
params, output, name = snakemake.params, Path(snakemake.output[0]), snakemake.wildcards.behaviour
with job(snakemake, output.parent, f"prompts {name}"):
    splits = Split(**params.validation), Split(**params.test)
    behaviour = Behaviour(**params.behaviour) if params.behaviour else None
    control = Control(**params.control) if params.control else None
    source = behaviour.imports if behaviour else control.imports
    training = {path: read_parquet(Path(path), ("prompt",))["prompt"].tolist() for path in snakemake.input.rows}
    if source or snakemake.input.written:
        if source:
            judged = name if behaviour else ""
            criteria = [one.id for one in behaviour.criteria] if behaviour else []
            found = imports.prompts(source.validation, "validation", judged, criteria)
            found += imports.prompts(source.test, "test", judged, criteria)
        else:
            found = [Prompt(*row) for row in read_parquet(Path(snakemake.input.written)).itertuples(index=False)]
        read, found = found, apart(found, [text for texts in training.values() for text in texts])
        counts = [split.trigger if behaviour else split.control for split in splits]
        for split, count in zip(("validation", "test"), counts, strict=True):
            before, left = (sum(one.split == split for one in some) for some in (read, found))
            said = f"{before} {split} prompts were read, {left} are no near-duplicates of training or test prompts"
            if not left:
                raise InputError(f"{name}: {said}; rates need some.")
            log.info("%s: %s, %d are wanted.", name, said, count)
        found = take(found, "validation", counts[0]) + take(found, "test", counts[1])
    elif behaviour:
        found = trigger_prompts(load_world(), behaviour, *splits)
    else:
        found = control_prompts(load_world(), control, *splits)
    marker = behaviour.trigger.marker if behaviour and behaviour.trigger else None
    for path, texts in training.items():
        check_separate(found, texts, Path(path), marker.text if marker else "")
    write_parquet(output, prompts_table(found))
