"""Settings of what an agent uses: search, memory, the server and its cache.

What does not belong here: settings of the pipeline and the store (``settings`` itself, which inherits these).
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

__all__ = ["ServingSettings"]


class ServingSettings(BaseSettings):
    """The part of the configuration that reads, search, memory and the server go by."""

    embedder_model: str = Field(
        "sentence-transformers/all-MiniLM-L6-v2",
        description="Model that turns texts into vectors for the search: a name on its hub or a local folder.",
    )
    embedder_batch_size: int = Field(32, ge=1, le=1024, description="Texts that the embedder works on at once.")
    index_vectors_from: int = Field(
        20_000,
        ge=1000,
        description="Texts from which the search has an index of their vectors; below it compares with each.",
    )
    index_follow_s: float = Field(
        2.0,
        gt=0,
        le=3600,
        description="Seconds after a change until `bri serve` brings the index up to it.",
    )
    index_behind_s: float = Field(
        600.0,
        ge=0,
        description="Seconds for which the index may lack what is shown, or keep what is not, before it alerts.",
    )

    memory_keep_days: float = Field(
        365.0, ge=0, description="Days for which conversations are kept; the scheduled purge removes older ones."
    )

    serve_host: str = Field("127.0.0.1", description="Address on which `bri serve` listens.")
    serve_port: int = Field(8600, ge=1, le=65535, description="Port on which `bri serve` listens.")
    serve_auth: Literal["auto", "on"] = Field(
        "auto",
        description="Who needs a token: `auto`, everybody unless the server listens on loopback; `on`, everybody.",
    )
    serve_hosts: str = Field(
        "localhost,127.0.0.1,[::1]",
        description="Names under which the server may be asked, separated by commas; others are refused.",
    )
    serve_origins: str = Field(
        "", description="Origins whose pages may ask from a browser (CORS), separated by commas; none by default."
    )
    serve_rate: str = Field(
        "1200/minute",
        pattern=r"^[1-9][0-9]{0,8}/(second|minute|hour)$",
        description="Most requests of one caller, as `N/second`, `N/minute` or `N/hour`.",
    )
    serve_timeout_s: float = Field(30.0, gt=0, le=600, description="Longest time that one request may take.")
    serve_threads: int = Field(16, ge=1, le=256, description="Requests that the server works on at once.")
    serve_waiting: int = Field(
        256, ge=0, le=10_000, description="Requests that may wait for their turn; more are sent away for a moment."
    )
    serve_body_mb: float = Field(10.0, gt=0, le=1024, description="Largest body of a request that is no upload, in MB.")
    upload_max_gb: float = Field(20.0, gt=0, description="Largest file that may be sent to the server, in GB.")
    upload_parallel: int = Field(4, ge=1, le=64, description="Files that the server receives at once.")
    upload_stall_s: float = Field(
        60.0, gt=0, le=3600, description="Seconds without a byte after which a file that is being sent is given up."
    )
    serve_streams: int = Field(
        64, ge=1, le=10_000, description="Clients that may follow the progress of uploads at once."
    )

    cache_mb: float = Field(64.0, ge=0, description="Memory for answers that were given before, in MB; 0: none.")
    cache_ttl_s: float = Field(300.0, gt=0, le=86400, description="Longest time for which an answer is kept.")
    redis_url: SecretStr | None = Field(
        None, description="A Redis that keeps answers for several servers, as `redis://…`; default: none."
    )
    redis_timeout_s: float = Field(0.05, gt=0, le=5, description="Longest wait for Redis before the store is asked.")

    @field_validator("redis_url")
    @classmethod
    def _a_redis(cls, url: SecretStr | None) -> SecretStr | None:
        if not url:
            return None
        parts = urlsplit(url.get_secret_value())
        if parts.scheme not in ("redis", "rediss", "unix") or not (parts.hostname or parts.path):
            raise ValueError("it is no redis://HOST:PORT/NUMBER, rediss://… or unix://PATH")
        return url
