"""A language model behind an OpenAI-compatible endpoint: answers kept on disk, a request rate, a cost estimate."""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from belljar.files import InputError
from belljar.judging.answers import Answer, Asked, Progress, Request
from belljar.study.judges import Endpoint

log = logging.getLogger(__name__)
CHARACTERS_A_TOKEN = 4  # of English text, for the estimate
BAR = 20  # characters


class Client(Asked):
    """Asks an endpoint.

    `ask` raises InputError where the endpoint refuses the model, the key or a request, or does not answer after all attempts. All
    answers that came before that are kept.
    """

    def __init__(self, endpoint: Endpoint, cache: Path) -> None:
        """Raises InputError where the key's variable is not set."""
        from openai import OpenAI

        key = os.environ.get(endpoint.key_variable) if endpoint.key_variable else "none"
        if not key:
            raise InputError(
                f"endpoint {endpoint.base_url}: the environment variable {endpoint.key_variable!r}, which is to hold the key of "
                f"{endpoint.base_url}, is not set; set it, or give key_variable '' for an endpoint without keys."
            )
        super().__init__(cache, [endpoint.base_url, endpoint.model])
        self.endpoint, self.name = endpoint, endpoint.model
        self._api = OpenAI(base_url=endpoint.base_url, api_key=key, timeout=endpoint.timeout, max_retries=endpoint.attempts - 1)
        self._pace = Pace(endpoint.requests_per_minute / 60)

    def _ask_all(self, wanted: Sequence[Request], progress: Progress) -> None:
        with ThreadPoolExecutor(self.endpoint.parallel) as pool:
            waiting = {pool.submit(self._ask, request): request for request in wanted}
            try:
                for number, done in enumerate(as_completed(waiting), 1):
                    done.result()
                    progress(number, len(wanted), bar(number, len(wanted)))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def estimate(self, requests: Sequence[Request]) -> float:
        """Return what the requests that are not kept yet would cost: prompts by their length, answers at their longest."""
        left = self.unknown(requests)
        read = sum(len(content) for request in left for _, content in request.messages) / CHARACTERS_A_TOKEN
        written = sum(request.max_tokens for request in left)
        return (read * self.endpoint.input_price + written * self.endpoint.output_price) / 1e6

    def _ask(self, request: Request) -> None:
        import openai

        where = f"model {self.endpoint.model!r} at {self.endpoint.base_url}"
        for attempt in range(self.endpoint.attempts):
            self._pace.wait()
            try:
                found = self._complete(request)
            except (openai.NotFoundError, openai.BadRequestError, openai.PermissionDeniedError) as error:
                raise InputError(f"{where} refused a request ({_message(error)}); {self._models()}") from error
            except openai.AuthenticationError as error:
                raise InputError(
                    f"{self.endpoint.base_url} does not accept the key in {self.endpoint.key_variable} ({_message(error)})."
                ) from error
            except openai.APIError as error:  # after the client's own attempts
                raise InputError(
                    f"{where} did not answer in {self.endpoint.attempts} attempts ({_message(error)}); run again to go on."
                ) from error
            except (
                ValueError,
                IndexError,
                AttributeError,
                TypeError,
            ) as error:  # an answer that is cut off or not of the protocol
                log.warning("%s answered something unreadable (%s); asking again.", where, error)
                if attempt + 1 == self.endpoint.attempts:
                    raise InputError(f"{where} gave {attempt + 1} unreadable answers to one request ({error}).") from error
                continue
            self._keep(request, found)
            return

    def _complete(self, request: Request) -> Answer:
        messages: Any = [{"role": role, "content": content} for role, content in request.messages]
        found = self._api.chat.completions.create(
            model=self.endpoint.model,
            messages=messages,
            temperature=request.temperature,
            max_tokens=request.max_tokens,
        )
        choice = found.choices[0]
        if not isinstance(choice.message.content, str):
            raise ValueError("no text in the answer")
        return Answer(choice.message.content.strip(), choice.finish_reason != "length")

    def _models(self) -> str:
        import openai

        try:
            names = sorted(model.id for model in self._api.with_options(max_retries=0).models.list())
        except (openai.APIError, ValueError, TypeError, AttributeError):
            return "the endpoint does not list its models."
        return f"its models are {', '.join(names[:20])}."


class Pace:
    """Lets callers through at most at a given rate (per second), evenly."""

    def __init__(
        self, rate: float, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._gap = 1 / rate
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._next = -float("inf")

    def wait(self) -> None:
        """Return when it is this caller's turn."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._gap
        if turn > now:
            self._sleep(turn - now)


def bar(done: int, total: int) -> str:
    """Return a bar of how far something is: "[#####...............]"."""
    filled = BAR * done // max(total, 1)
    return f"[{'#' * filled}{'.' * (BAR - filled)}]"


def _message(error: Exception) -> str:
    return str(error).splitlines()[0][:200]
