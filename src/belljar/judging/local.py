"""A chat model in a checkpoint folder as a judge."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from belljar.judging.answers import Answer, Asked, Progress, Request
from belljar.study.judges import LocalModel


class Local(Asked):
    """Asks a model that is loaded when the first answer is wanted that is not kept."""

    def __init__(self, settings: LocalModel, cache: Path) -> None:
        """Raises InputError where the folder is no checkpoint folder."""
        from belljar.models.load import check_folder

        folder = Path(settings.folder)
        check_folder(folder)
        stats = [(file.name, file.stat()) for file in sorted(folder.glob("*.safetensors"))]
        weights = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats]
        super().__init__(cache, [str(folder.resolve()), settings.dtype, *weights])
        self.settings, self.name = settings, folder.name

    def key(self, request: Request) -> str:
        """Return what an answer is kept under: a shorter limit gives another answer."""
        return super().key(request._replace(max_tokens=self._longest(request)))

    def _longest(self, request: Request) -> int:
        return min(request.max_tokens, self.settings.max_tokens)

    def _ask_all(self, wanted: Sequence[Request], progress: Progress) -> None:
        from belljar.models.generate import answers
        from belljar.models.load import load_model, load_tokenizer

        folder = Path(self.settings.folder)
        model, tokenizer = load_model(folder, self.settings.dtype), load_tokenizer(folder)

        def alike(request: Request) -> tuple[float, int, int]:
            return request.temperature, self._longest(request), request.attempt

        done = 0
        for (temperature, longest, attempt), group in groupby(sorted(wanted, key=alike), key=alike):
            requests = list(group)
            for begin in range(0, len(requests), self.settings.batch_size):
                part = requests[begin : begin + self.settings.batch_size]
                chats = [[{"role": role, "content": content} for role, content in request.messages] for request in part]
                said = answers(
                    model,
                    tokenizer,
                    chats,
                    temperature=temperature,
                    max_new_tokens=longest,
                    batch_size=self.settings.batch_size,
                    seed=attempt,
                )
                for request, (answer,) in zip(part, said, strict=True):
                    self._keep(request, Answer(answer.text, answer.finished))
                done += len(part)
                progress(done, len(wanted), "")
