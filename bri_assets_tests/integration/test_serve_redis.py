"""`bri serve` with a real Redis: what it answered outlives its process, and a Redis that dies fails no request."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import httpx

from bri_assets.files import sha256_bytes
from bri_assets.store import Store
from bri_assets_tests.apis import served
from bri_assets_tests.bundles import operations, rows, stage
from bri_assets_tests.commands import Bri
from bri_assets_tests.redis_server import redis_server

HOLIDAY = "holiday-000000000001"

#: Requests of each client before Redis dies, while it is gone, and while it hangs.
REQUESTS = 60


def test_redis_is_missed_by_nobody(tmp_path: Path) -> None:
    home = tmp_path / "data"
    tables = rows(home, frames=20, video_id=HOLIDAY, sha256=sha256_bytes(HOLIDAY.encode()))
    operations(Store, home).commit(stage(home, tables), run_id="run", channel="test")
    path = f"/v1/videos/{HOLIDAY}/captions"
    with redis_server(tmp_path / "redis") as redis:
        bri = Bri(home, {"BRI_REDIS_URL": redis.url, "BRI_SERVE_RATE": "1000000/second", "BRI_METRICS": "on"})
        with served(bri, tmp_path / "first.log") as url, httpx.Client(base_url=url, timeout=60) as client:
            first = client.get(path)
            assert first.headers["x-cache"] == "store"
            assert client.get(path).headers["x-cache"] == "process"
        with served(bri, tmp_path / "second.log") as url, httpx.Client(base_url=url, timeout=60) as client:
            again = client.get(path)
            assert (again.headers["x-cache"], again.content) == ("redis", first.content)
            asked: Counter[int] = Counter()
            for harm in (lambda: None, redis.kill, redis.start, redis.hang):
                harm()
                asked += asking(url, path, sum(asked.values()))
            assert asked == {200: 4 * 4 * REQUESTS}
            told = client.get("/metrics").text
            for sample in ('bri_answers_total{level="redis"}', 'bri_redis_requests_total{outcome="failed"}'):
                assert sample in told


def asking(url: str, path: str, begin: int) -> Counter[int]:
    """The statuses of what four clients are answered who ask for different things at once."""
    statuses: Counter[int] = Counter()
    lock = threading.Lock()

    def ask(number: int) -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            for index in range(REQUESTS):
                # Times that nobody asked for before, so that Redis is asked for each.
                from_s = (begin + number * REQUESTS + index) / 1000
                found = client.get(path, params={"from_s": from_s, "limit": 5})
                assert found.status_code != 200 or found.json()["source"]["video_id"] == HOLIDAY
                with lock:
                    statuses[found.status_code] += 1

    threads = [threading.Thread(target=ask, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses
