"""Delete, undelete, rollback, history and purge over HTTP: named whole, allowed by scope, once and again the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bri_assets.errors import VideoNotFound
from bri_assets.store.tokens import Tokens
from bri_assets_tests.bundles import VIDEO_ID, rows, stage
from bri_assets_tests.unit.serve.listening import Listening, audit, listening

URL = f"/v1/videos/{VIDEO_ID}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Listening]:
    with listening(tmp_path / "data", serve_auth="on") as opened:
        home = opened.settings.home
        for run_id, frames in (("run-1", 4), ("run-2", 5)):
            opened.store.commit(
                stage(home, rows(home, frames=frames), run_id=run_id), run_id=run_id, channel="pipeline"
            )
        yield opened


@pytest.fixture
def secrets(server: Listening) -> dict[str, str]:
    tokens = server.group(Tokens)
    return {
        name: tokens.create(name, name, channel="cli").secret  # type: ignore[arg-type] - a scope of that name
        for name in ("read", "write", "admin")
    }


@pytest.fixture
def clients(server: Listening, secrets: dict[str, str]) -> Iterator[dict[str, httpx.Client]]:
    found = {name: server.client(headers={"Authorization": f"Bearer {secrets[name]}"}) for name in secrets}
    yield found
    for client in found.values():
        client.close()


def is_shown(server: Listening) -> bool:
    try:
        server.store.video(VIDEO_ID)
    except VideoNotFound:
        return False
    return True


def test_a_video_is_deleted_and_undeleted_and_again_changes_nothing(
    server: Listening, clients: dict[str, httpx.Client]
) -> None:
    before = server.store.video(VIDEO_ID)
    for changed in (True, False):
        done = clients["write"].delete(URL)
        assert (done.status_code, done.json()["changed"]) == (200, changed), done.text
        assert done.json()["deleted_at"] is not None
        assert not is_shown(server)
    for changed in (True, False):
        done = clients["write"].post(f"{URL}/undelete")
        assert (done.status_code, done.json()["changed"], done.json()["deleted_at"]) == (200, changed, None)
    after = server.store.video(VIDEO_ID)
    assert after["frames"] == before["frames"]
    # Who did it is known by the name of the token; what changed nothing leaves no event.
    assert [actor.partition(":")[0] for actor in audit(server, "video.deleted")] == ["api/write"]
    assert [actor.partition(":")[0] for actor in audit(server, "video.undeleted")] == ["api/write"]


def test_a_video_is_rolled_back_and_its_history_says_so(server: Listening, clients: dict[str, httpx.Client]) -> None:
    for before in (2, 1):
        done = clients["admin"].post(f"{URL}/rollback", json={"version": 1})
        expected = {"video_id": VIDEO_ID, "before": before, "after": 1, "changed": before == 2}
        assert (done.status_code, done.json()) == (200, expected), done.text
    assert server.store.video(VIDEO_ID)["video"]["version"] == 1
    found = clients["read"].get(f"{URL}/history").json()
    assert [(one["version"], one["is_current"]) for one in found["versions"]] == [(1, True), (2, False)]
    assert [(one["cause"], one["to_version"]) for one in found["moves"]] == [
        ("commit", 1),
        ("commit", 2),
        ("rollback", 1),
    ]
    assert found["moves"][-1]["changed_by"].startswith("api/admin:")
    assert clients["admin"].post(f"{URL}/rollback", json={"version": 3}).status_code == 404
    for wrong in ({"version": 0}, {"version": "x"}, {}, {"version": 1, "more": 2}):
        assert clients["admin"].post(f"{URL}/rollback", json=wrong).status_code == 422


def test_a_deleted_video_has_a_history_and_no_rollback(clients: dict[str, httpx.Client]) -> None:
    clients["write"].delete(URL)
    assert clients["read"].get(f"{URL}/history").json()["deleted_at"] is not None
    assert clients["admin"].post(f"{URL}/rollback", json={"version": 1}).status_code == 410


def test_a_video_is_purged_by_an_admin_alone(server: Listening, clients: dict[str, httpx.Client]) -> None:
    assert clients["write"].delete(URL, params={"purge": True}).status_code == 403
    assert is_shown(server)
    done = clients["admin"].delete(URL, params={"purge": True})
    assert done.status_code == 200, done.text
    purged = done.json()["purged"]
    assert purged["rows"]["frames"] == 9
    assert purged["files"] > 0
    assert not (server.settings.staged_dir / VIDEO_ID).exists()
    assert not is_shown(server)
    assert audit(server, "video.purged")[0].startswith("api/admin:")
    # Nothing of it is left that could be shown or removed.
    assert clients["admin"].delete(URL, params={"purge": True}).status_code == 404
    assert clients["write"].post(f"{URL}/undelete").status_code == 404
    assert clients["read"].get(f"{URL}/history").status_code == 404


@pytest.mark.parametrize("name", ["holiday.mp4", VIDEO_ID[:-1], "holiday", "nothing-000000000000"])
def test_a_video_is_changed_by_its_whole_id_only(
    server: Listening, clients: dict[str, httpx.Client], name: str
) -> None:
    url = f"/v1/videos/{name}"
    assert clients["admin"].delete(url).status_code == 404
    assert clients["admin"].delete(url, params={"purge": True}).status_code == 404
    assert clients["admin"].post(f"{url}/undelete").status_code == 404
    assert clients["admin"].post(f"{url}/rollback", json={"version": 1}).status_code == 404
    assert server.store.video(VIDEO_ID)["video"]["version"] == 2


@pytest.mark.parametrize(
    ("method", "path", "least"),
    [
        ("PUT", "/v1/uploads/clip.mp4", "write"),
        ("POST", "/v1/uploads/u-0000000000000000/retry", "write"),
        ("GET", "/v1/uploads", "read"),
        ("GET", "/v1/uploads/u-0000000000000000", "read"),
        ("GET", "/v1/uploads/u-0000000000000000/events", "read"),
        ("GET", f"{URL}/events", "read"),
        ("DELETE", URL, "write"),
        ("POST", f"{URL}/undelete", "write"),
        ("POST", f"{URL}/rollback", "admin"),
        ("GET", f"{URL}/history", "read"),
    ],
)
def test_every_route_asks_for_its_scope(
    server: Listening, clients: dict[str, httpx.Client], method: str, path: str, least: str
) -> None:
    with server.client() as nobody:
        assert nobody.request(method, path).status_code == 401
    scopes = ["read", "write", "admin"]
    for scope in scopes[: scopes.index(least)]:
        assert clients[scope].request(method, path).status_code == 403
    assert clients[least].request(method, path).status_code not in (401, 403)
