"""The worker's engine sends its key to a server that requires one."""

import pytest

from app.domain.key import Scope
from app.engine.remote import RemoteEngine
from app.errors import EngineError
from tests.helpers.serving import served
from tests.keys.conftest import Serve


async def test_a_remote_engine_sends_its_key(serve: Serve) -> None:
    async with serve(keys="required") as server:
        key = (await server.key(Scope.GENERATE)).removeprefix("Bearer ")
        async with served(server.app) as url:
            let_in = RemoteEngine(url, connections=1, timeout_s=60, api_key=key)
            await let_in.start()
            assert let_in.context_tokens == 4096
            await let_in.close()
            kept_out = RemoteEngine(url, connections=1, timeout_s=60)
            with pytest.raises(EngineError, match="401"):
                await kept_out.start()
            await kept_out.close()
