"""How our errors end a step: as a failure that says what to do, or as a retry where that can help."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from bri_assets.errors import BriError

__all__ = ["backoff_s", "reported"]

_Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext | dg.OpExecutionContext


@contextmanager
def reported(context: _Context, retries: int) -> Iterator[None]:
    """Turn an error of ours into the end of the step that it deserves; what is no error of ours goes on as it is.

    Raises:
        dagster.RetryRequested: the error is one that trying again may mend, and there are retries left.
        dagster.Failure: it is not; Dagster does not try again.
    """
    try:
        yield
    except BriError as error:
        if error.retryable and context.retry_number < retries:
            wait_s = backoff_s(context.retry_number)
            context.log.warning(f"{error} Trying again in {wait_s:.1f} s.")
            raise dg.RetryRequested(max_retries=retries, seconds_to_wait=wait_s) from error
        metadata = {"subject": error.subject, "what": error.what, "next": error.remedy, "kind": type(error).__name__}
        raise dg.Failure(str(error), metadata=metadata, allow_retries=False) from error


def backoff_s(attempt: int) -> float:
    """Seconds before the next try: 1, 2, 4 … at most 30, each with up to half of it added by chance.

    The chance keeps runs that met at a busy store from meeting there again.
    """
    wait_s = min(30.0, 2.0**attempt)
    return wait_s * random.uniform(1.0, 1.5)  # noqa: S311 - no secret hangs on it
