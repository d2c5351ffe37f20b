from app.domain.prompt import Message, Prompt
from app.domain.search import Sampling
from app.engine.base import Call, CallContext, Delta
from app.roles.actor import Actor
from tests.helpers.scripts import playing


async def test_the_conversation_is_answered_as_it_is() -> None:
    engine = playing()
    deltas: list[Delta] = []
    prompt = Prompt((Message("system", "Be brief."), Message("user", "Hello {there}")))
    sampling = Sampling(temperature=0.9, top_p=0.8, max_tokens=7, seed=5, stop=("END",))
    completion = await Actor(engine).respond(
        prompt, sampling, CallContext("actor@3", 1, 2, shown=True, on_delta=deltas.append)
    )
    assert engine.started == [
        Call(prompt.messages, "actor@3", sampling, 1, chunk_tokens=2, shown=True)
    ]
    assert completion.text == "response 1"
    assert "".join(delta.text for delta in deltas) == "response 1"
