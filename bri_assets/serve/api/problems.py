"""The one envelope of every error: ``application/problem+json`` (RFC 9457).

An error of the caller's is told in its own words. Of one of the server's only the kind is told: its words name paths
and other inner things, and stand in the log under the same request id. What does not belong here: when something is
an error.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from pathlib import PurePath
from urllib.parse import quote

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from bri_assets import errors
from bri_assets.errors import BriError

__all__ = ["MEDIA_TYPE", "FieldProblem", "Problem", "problem", "problem_of", "status_of"]

MEDIA_TYPE = "application/problem+json"

#: Statuses of errors; of one that is not listed its nearest base counts, and at last 500.
STATUSES: dict[type[BriError], int] = {
    errors.VideoNotFound: 404,
    errors.VersionNotFound: 404,
    errors.FrameNotFound: 404,
    errors.MessageNotFound: 404,
    errors.UploadNotFound: 404,
    errors.TokenNotFound: 404,
    errors.SourceMissing: 404,
    errors.VideoDeleted: 410,
    errors.CursorWrong: 400,
    errors.DigestWrong: 400,
    errors.FilenameWrong: 422,
    errors.RetryRefused: 409,
    errors.UploadStalled: 408,
    errors.RangeWrong: 422,
    errors.TokenNeeded: 401,
    errors.AccessDenied: 403,
    errors.TurnDiffers: 409,
    errors.TokenRefused: 422,
    errors.UploadChanged: 409,
    errors.UploadTooLarge: 413,
    errors.UploadRefused: 422,
    errors.QueryTooSlow: 504,
    errors.StageTimeout: 504,
    errors.ServerBusy: 503,
    errors.StoreBusy: 503,
    errors.OwnerGone: 503,
    errors.BreakerOpen: 503,
    errors.StoreDamaged: 503,
    errors.StoreBehind: 503,
    errors.StoreMissing: 503,
    errors.StoreOutdated: 503,
    errors.StoreTooNew: 503,
    errors.JournalDamaged: 503,
    errors.EncryptionFailed: 503,
    errors.StorageFailed: 507,
    errors.IndexUnusable: 503,
    errors.WeightsMissing: 503,
    errors.WeightsDamaged: 503,
}

#: Errors that are over in a moment, and after how many seconds to ask again.
_AGAIN_S: dict[type[BriError], int] = {
    errors.ServerBusy: 1,
    errors.StoreBusy: 2,
    errors.OwnerGone: 2,
    errors.BreakerOpen: 30,
}

#: Refusals that say that the file is of the wrong kind.
_NO_VIDEO = {"not_a_video", "no_picture", "undecodable", "unreadable"}

#: What is told of an error of the server's.
_SERVERS = {
    500: "Something went wrong in the server; its log has it under this request id.",
    503: "The server cannot do this now; its log says why under this request id.",
    504: "This took longer than a request may take, and was stopped.",
    507: "The server cannot store anything now; its log says why under this request id.",
}

#: What libraries refuse without words of their own, or with words that change from version to version.
_HTTP = {
    400: ("bad_request", "this is no request that can be read."),
    404: ("not_found", "there is nothing at this path."),
    405: ("method_not_allowed", "this path does not take the method; `Allow` says which it takes."),
    413: ("content_too_large", "the body is too large."),
    415: ("unsupported_media_type", "this cannot take a body of that type."),
}

_REMEDIES = {503: "Ask `/health/ready`, and try again later.", 504: "Ask for less: a shorter range, fewer rows."}


class FieldProblem(BaseModel):
    """What is wrong with one value of a request."""

    model_config = ConfigDict(extra="forbid")

    loc: list[str | int] = Field(description="Where it stands: `query`, `path`, `header` or `body`, and the way to it.")
    msg: str = Field(description="What is wrong.")
    type: str = Field(description="One word for it.")


class Problem(BaseModel):
    """What went wrong."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="Name of the kind of problem, a URN with `code`.")
    title: str = Field(description="The status in words.")
    status: int = Field(ge=400, le=599, description="The status of the answer.")
    detail: str = Field(description="What happened, for a person.")
    instance: str = Field(description="The path that was asked for.")
    request_id: str = Field(description="Of the request, as in the answer's `X-Request-ID` and in the server's log.")
    code: str = Field(description="One word for the kind of problem; stable.")
    remedy: str | None = Field(description="What to do next, where there is anything.")
    errors: list[FieldProblem] | None = Field(None, description="What is wrong with the request, value by value.")


def problem(
    scope: Scope,
    status: int,
    code: str,
    detail: str,
    remedy: str | None = None,
    *,
    fields: list[FieldProblem] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """An answer that says what went wrong.

    Args:
        scope: of the request.
        status: of the answer, 400 to 599.
        code: one word for the kind of problem.
        detail: what happened.
        remedy: what to do next.
        fields: what is wrong with the request, value by value.
        headers: further headers of the answer.
    """
    told = Problem(
        type=f"urn:bri:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=quote(scope.get("path", ""), safe="/:@!$&'()*+,;=~-._", errors="replace")[:2000],
        request_id=scope.get("state", {}).get("request_id", ""),
        code=code,
        remedy=remedy or None,
        errors=fields,
    )
    # As ASCII: what a caller sent, and a message repeats, need not be text that UTF-8 can hold.
    body = json.dumps(told.model_dump(exclude={"errors"} if fields is None else None)).encode()
    return Response(body, status, headers, MEDIA_TYPE)


def status_of(error: BriError) -> int:
    """The status of an error of ours."""
    if isinstance(error, errors.UploadRefused) and error.code in _NO_VIDEO:
        return 415
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)


def problem_of(scope: Scope, error: Exception) -> Response:
    """The answer to any error.

    Args:
        scope: of the request.
        error: what was raised.
    """
    if isinstance(error, BriError):
        return _of_ours(scope, error)
    if isinstance(error, RequestValidationError):
        return _of_validation(scope, error)
    if isinstance(error, HTTPException):
        status = error.status_code
        code, detail = _HTTP.get(status, (f"http_{status}", str(error.detail)))
        return problem(scope, status, code, detail, headers=dict(error.headers or {}))
    return problem(scope, 500, "internal", _SERVERS[500])


def _of_ours(scope: Scope, error: BriError) -> Response:
    status = status_of(error)
    code = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()
    if isinstance(error, errors.UploadRefused):
        code = error.code
    headers: dict[str, str] = {}
    again_s = next((_AGAIN_S[kind] for kind in type(error).__mro__ if kind in _AGAIN_S), None)
    if again_s is not None:
        headers["Retry-After"] = str(again_s)
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="bri"'
    if status == 403:
        headers["WWW-Authenticate"] = 'Bearer realm="bri", error="insufficient_scope"'
    if status >= 500:
        return problem(scope, status, code, _SERVERS[status], _REMEDIES.get(status), headers=headers)
    # A path of the server's own is nobody's business; the name of the file is what the caller knows.
    subject = PurePath(error.subject).name if PurePath(error.subject).is_absolute() else error.subject
    return problem(scope, status, code, f"{subject}: {error.what}", error.remedy, headers=headers)


def _of_validation(scope: Scope, error: RequestValidationError) -> Response:
    found = error.errors()
    # Neither the values, which may be secret or huge, nor the errors' own context, which may hold objects.
    fields = [FieldProblem(loc=list(one["loc"]), msg=one["msg"], type=one["type"]) for one in found[:20]]
    if any(one["type"] == "json_invalid" for one in found):
        return problem(scope, 400, "json_wrong", "the body is not JSON.", "Send JSON.", fields=fields)
    detail = f"{len(found)} value(s) of the request cannot be: " + "; ".join(_line(one) for one in fields[:3])
    return problem(scope, 422, "request_wrong", detail, "See `errors`, and /openapi.json.", fields=fields)


def _line(one: FieldProblem) -> str:
    return f"{'.'.join(map(str, one.loc))}: {one.msg}"
