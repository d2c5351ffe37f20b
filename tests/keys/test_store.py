"""Without stored texts, no endpoint accepts or returns any."""

import pytest
from pydantic import ValidationError

from app.config.settings import Settings
from tests.keys.conftest import Serve


@pytest.mark.parametrize("store", ["redacted", "none"])
async def test_a_server_that_keeps_no_texts_takes_none_as_feedback(
    serve: Serve, store: str
) -> None:
    async with serve(store=store) as server:
        body = {"prompt": "Name a river.", "mode": "greedy"}
        answer = (await server.client.post("/generate", json=body)).json()
        rating = {"search_id": answer["id"], "rating": 1}
        rated = await server.client.post("/feedback", json=rating)
        assert rated.status_code == (201 if store == "redacted" else 404)
        for text in ("better", "comment"):
            refused = await server.client.post("/feedback", json=rating | {text: "The Nile."})
            assert (refused.status_code, refused.json()["field"]) == (422, text)
        kept = await server.client.get(f"/searches/{answer['id']}")
        assert "river" not in kept.text
        assert answer["response"] not in kept.text


@pytest.mark.parametrize("store", ["redacted", "none"])
def test_prompts_are_not_recorded_where_texts_are_not_kept(store: str) -> None:
    with pytest.raises(ValidationError, match="SPAR_STORE"):
        Settings(_env_file=None, store=store, record_prompts=True)
    assert Settings(_env_file=None, record_prompts=True).record_prompts
