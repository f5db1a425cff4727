"""What a study may say about language models that it asks."""

from typing import Annotated

from pydantic import Field, model_validator

from belljar.study.schema import Count, Dtype, Positive, Settings, exactly_one


class Endpoint(Settings):
    """A language model behind an OpenAI-compatible endpoint."""

    base_url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"  # the environment variable that holds the key
    requests_per_minute: Positive = 60.0
    parallel: Count = 8  # requests under way at a time
    timeout: Positive = 60.0  # seconds
    attempts: Count = 6  # of one request
    input_price: Annotated[float, Field(ge=0)] = 0.0  # of a million tokens, for the estimate
    output_price: Annotated[float, Field(ge=0)] = 0.0
    budget: Annotated[float, Field(ge=0)] | None = None  # an estimate above it stops the run before it starts


class LocalModel(Settings):
    """A chat model in a local checkpoint folder."""

    folder: str
    dtype: Dtype = "bfloat16"
    batch_size: Count = 32
    max_tokens: Count = 1024  # of one answer


class Judge(Settings):
    """A language model that judges, and how often it is asked."""

    endpoint: Endpoint | None = None
    local: LocalModel | None = None
    votes: Count = 5  # on each token or label, in rotated orders
    investigations: Annotated[int, Field(ge=2)] = 3  # of each probe's evidence
    grades: Annotated[int, Field(ge=2)] = 3  # of each investigation

    @model_validator(mode="after")
    def _one_model(self) -> "Judge":
        exactly_one(self, ("endpoint", "local"))
        if self.endpoint and self.endpoint.budget is not None:
            raise ValueError("endpoint has a budget, but only a generator's costs are estimated; leave it out")
        return self
