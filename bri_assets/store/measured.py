"""Operations on quality figures: those of a video, those beyond a limit, those of the whole collection.

A video counts while it is shown and not deleted. What does not belong here: what is measured (``quality``) and what is
too low or too high (``verdicts``).
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from bri_assets.schemas import VERSIONED_TABLES
from bri_assets.store import audit, quality, reads
from bri_assets.store.access.operations import Operations, operation
from bri_assets.store.quality import FIGURES
from bri_assets.store.verdicts import Limit, Spread

__all__ = ["Arrivals", "Collection", "Quality", "Summary", "VideoQuality"]

#: Versions that are measured in one transaction, at about 10 ms each.
_BATCH = 50

_SHOWN = """shown AS (
    SELECT n.version_id, n.version, n.video_id, v.filename, n.frames, n.captions, n.transcript_segments AS transcripts,
           n.detections
    FROM current_versions c JOIN video_versions n USING (version_id) JOIN videos v ON v.video_id = c.video_id
    WHERE v.deleted_at IS NULL
)"""

_TABLES = tuple(spec.name for spec in VERSIONED_TABLES)

#: Volumes that are compared with those of other videos.
_COMPARED = [figure.name for figure in FIGURES.values() if figure.least_spread]


@dataclass(frozen=True)
class VideoQuality:
    """The figures of the version of a video that is shown.

    Args:
        video_id: the video.
        filename: name of its file.
        version_id: number of the version in the whole store.
        version: number of the version of this video.
        figures: as they were kept; empty where it was never measured.
    """

    video_id: str
    filename: str
    version_id: int
    version: int
    figures: dict[str, float | None]


@dataclass(frozen=True)
class Arrivals:
    """How soon uploads are committed.

    An upload counts if it was accepted and its video is not deleted, and if it is committed or its time is over. One
    whose content was committed already when it arrived took no time.

    Args:
        uploads: that count.
        fresh: of them, committed in time.
        slowest_h: longest time to the commit, or until now where there was none, in hours; None where none counts.
        stuck: uploads that are being ingested, of which nothing was heard for too long.
    """

    uploads: int
    fresh: int
    slowest_h: float | None
    stuck: int


@dataclass(frozen=True)
class Summary:
    """A figure over the videos that are shown and have it.

    Args:
        figure: its name.
        videos: that have it.
        mean: over the rows of its table for a figure of accuracy, else over the videos.
        least: its lowest value.
        most: its highest value.
    """

    figure: str
    videos: int
    mean: float
    least: float
    most: float


@dataclass(frozen=True)
class Collection:
    """The collection.

    Args:
        videos: that are shown.
        versions: all there are, of these videos and of deleted ones.
        rows: of the versions that are shown, by table.
        summaries: of each figure that at least one video has.
        arrivals: how soon uploads are committed.
    """

    videos: int
    versions: int
    rows: dict[str, int]
    summaries: list[Summary]
    arrivals: Arrivals


class Quality(Operations):
    """Reads of quality figures, and the measuring of versions that have none."""

    @operation()
    def video(self, name: str) -> VideoQuality:
        """The figures of the video that a person means.

        Args:
            name: its id, the beginning of it, or a file name.

        Raises:
            VideoNotFound: there is none, or more than one.
        """
        with self.file.reading() as connection:
            video_id = reads.find_video(connection, name)
            query = f"WITH {_SHOWN} SELECT filename, version_id, version FROM shown WHERE video_id = ?"  # noqa: S608
            filename, version_id, version = connection.execute(query, [video_id]).fetchall()[0]
            return VideoQuality(video_id, filename, version_id, version, quality.kept(connection, version_id))

    @operation()
    def spreads(self) -> list[Spread]:
        """How the volumes that are compared spread over the videos that are shown."""
        with self.file.reading() as connection:
            found = connection.execute(
                f"""WITH {_SHOWN}
                    SELECT figure, count(*), median(value), 1.4826 * mad(value)
                    FROM quality JOIN shown USING (version_id)
                    WHERE figure IN (SELECT unnest($figures)) AND value IS NOT NULL
                    GROUP BY figure ORDER BY figure""",  # noqa: S608 - our own names
                {"figures": _COMPARED},
            ).fetchall()
        return [Spread(*row) for row in found]

    @operation()
    def beyond(self, limits: list[Limit]) -> list[VideoQuality]:
        """The videos of which a figure is beyond its limit, with all of their figures, by their ids."""
        with self.file.reading() as connection:
            found = connection.execute(
                f"""WITH {_SHOWN}, allowed AS (
                        SELECT unnest($figures) AS figure, unnest($least::DOUBLE[]) AS least,
                               unnest($most::DOUBLE[]) AS most
                    ), far AS (
                        SELECT version_id FROM quality JOIN allowed USING (figure) WHERE value < least OR value > most
                    )
                    SELECT video_id, filename, version_id, version, map_from_entries(list((figure, value)))
                    FROM shown SEMI JOIN far USING (version_id) JOIN quality USING (version_id)
                    GROUP BY ALL ORDER BY video_id""",  # noqa: S608 - our own names
                {
                    "figures": [limit.figure for limit in limits],
                    "least": [limit.least for limit in limits],
                    "most": [limit.most for limit in limits],
                },
            ).fetchall()
        return [VideoQuality(*row) for row in found]

    @operation()
    def collection(self, *, freshness_h: float, stuck_s: float) -> Collection:
        """The figures of the collection.

        Args:
            freshness_h: hours within which an upload should be committed.
            stuck_s: seconds without a sign of life after which an ingest is stuck.
        """
        with self.file.reading() as connection:
            videos, versions, *rows = connection.execute(
                f"""WITH {_SHOWN}
                    SELECT count(*), (SELECT count(*) FROM video_versions),
                           {", ".join(f"coalesce(sum({name}), 0)::BIGINT" for name in _TABLES)} FROM shown"""  # noqa: S608
            ).fetchall()[0]
            arrivals = _arrivals(connection, freshness_h, stuck_s)
            return Collection(videos, versions, dict(zip(_TABLES, rows, strict=True)), _summaries(connection), arrivals)

    @operation()
    def backfill(self, *, channel: str) -> int:
        """Measure some versions that lack figures, as those do that were committed before there were any.

        Args:
            channel: the way in, for the audit log.

        Returns:
            How many were measured; 0 when none is left whose rows are in the database.
        """
        with self.writing() as connection:
            lacking = connection.execute(
                """SELECT n.version_id, n.video_id, n.version FROM video_versions n
                   LEFT JOIN quality q ON q.version_id = n.version_id AND q.figure IN (SELECT unnest($figures))
                   WHERE n.state = 'committed'
                   AND n.video_id NOT IN (SELECT video_id FROM purges WHERE finished_at IS NULL)
                   GROUP BY ALL HAVING count(q.figure) < len($figures) ORDER BY n.version_id LIMIT $most""",
                {"figures": list(FIGURES), "most": _BATCH},
            ).fetchall()
            for version_id, video_id, version in lacking:
                quality.record(connection, version_id)
                audit.record(
                    connection,
                    who=audit.actor(channel),
                    action="version.measured",
                    entity="video_versions",
                    entity_id=str(version_id),
                    detail={"video_id": video_id, "version": version},
                )
        return len(lacking)


def _summaries(connection: duckdb.DuckDBPyConnection) -> list[Summary]:
    weighed = {name: figure.table for name, figure in FIGURES.items() if figure.kind == "accuracy"}
    cases = " ".join(f"WHEN '{name}' THEN {table}" for name, table in weighed.items())
    found = connection.execute(
        f"""WITH {_SHOWN}
            SELECT figure, count(*), fsum(value * weight) / sum(weight), min(value), max(value)
            FROM (SELECT figure, value, CASE figure {cases} ELSE 1 END AS weight
                  FROM quality JOIN shown USING (version_id) WHERE value IS NOT NULL)
            GROUP BY figure"""  # noqa: S608 - our own names
    ).fetchall()
    by_figure = {row[0]: Summary(*row) for row in found}
    return [by_figure[name] for name in FIGURES if name in by_figure]


def _arrivals(connection: duckdb.DuckDBPyConnection, freshness_h: float, stuck_s: float) -> Arrivals:
    row = connection.execute(
        """WITH first AS (
               SELECT video_id, min(committed_at) AS committed_at FROM video_versions GROUP BY video_id
           ), arrived AS (
               SELECT f.committed_at IS NOT NULL AS committed, u.state = 'ingesting' AS ingesting,
                      greatest(epoch(coalesce(f.committed_at, now())) - epoch(u.created_at), 0) / 3600 AS hours,
                      epoch(now()) - epoch(u.updated_at) AS quiet_s
               FROM uploads u LEFT JOIN videos v USING (video_id) LEFT JOIN first f USING (video_id)
               WHERE u.state <> 'quarantined' AND v.deleted_at IS NULL
           )
           SELECT count(*) FILTER (counts), count(*) FILTER (counts AND hours <= $freshness_h),
                  max(hours) FILTER (counts), count(*) FILTER (ingesting AND quiet_s > $stuck_s)
           FROM (SELECT *, committed OR hours > $freshness_h AS counts FROM arrived)""",
        {"freshness_h": freshness_h, "stuck_s": stuck_s},
    ).fetchall()[0]
    return Arrivals(*row)
