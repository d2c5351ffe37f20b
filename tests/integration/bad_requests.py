"""A table of bad request bodies, and what the answer to each has to say."""

from typing import Any, NamedTuple

PROMPT: dict[str, Any] = {
    "prompt": "Name a river.",
    "mode": "greedy",
    "sampling": {"max_tokens": 4},
}
USER = {"role": "user", "content": "Name a river."}
ASSISTANT = {"role": "assistant", "content": "The Nile."}
WORDS = "length_constraints:number_words"
KWARGS = "constraints.0.kwargs"
CHAT = "/v1/chat/completions"


class Bad(NamedTuple):
    """A body (JSON, or what to send as it is) and the problem that it is answered with."""

    name: str
    body: Any
    status: int
    type: str
    field: str | None
    words: str
    path: str = "/generate"


def malformed(name: str, body: str | bytes, words: str) -> Bad:
    """Not JSON at all."""
    return Bad(name, body, 400, "malformed_json", None, words)


def invalid(name: str, body: Any, field: str | None, words: str, path: str = "/generate") -> Bad:
    """JSON that asks for what cannot be."""
    return Bad(name, body, 422, "invalid_request", field, words, path)


def too_long(name: str, body: Any, field: str, path: str = "/generate") -> Bad:
    """More than the context of 2048 tokens holds."""
    return Bad(name, body, 413, "prompt_too_long", field, "2048", path)


def raw(prompt: str) -> str:
    """A body with this JSON in the place of the prompt."""
    return f'{{"prompt": {prompt}, "mode": "greedy"}}'


def raw_schema(schema: str) -> str:
    """A body with this JSON as the schema of a constraint."""
    constraint = f'{{"id": "json_schema", "kwargs": {{"schema": {{"const": {schema}}}}}}}'
    return raw(f'"x", "constraints": [{constraint}]')


def constrained(constraint_id: str, **kwargs: Any) -> dict[str, Any]:
    """A body with this constraint."""
    return PROMPT | {"constraints": [{"id": constraint_id, "kwargs": kwargs}]}


def nested(levels: int) -> dict[str, Any]:
    """A JSON schema this deep."""
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


BODIES = [
    malformed("not JSON", "{", "not valid JSON"),
    malformed("text after the JSON", '{"prompt": "hi"} {', "not valid JSON"),
    malformed("invalid UTF-8", b'{"prompt": "\xff\xfe"}', "UTF-8"),
    malformed("nested 100,000 lists deep", raw("[" * 100_000 + "]" * 100_000), "nested too deeply"),
    malformed(
        "nested 100,000 objects deep", raw('{"a":' * 100_000 + "1" + "}" * 100_000), "deeply"
    ),
    malformed("a number of 5,000 digits", raw("9" * 5000), "digits"),
    invalid("no body", "", None, "required"),
    invalid("null", "null", None, "required"),
    invalid("a list", [PROMPT], None, "must be a JSON object"),
    invalid("unknown mode", PROMPT | {"mode": "mcts"}, "mode", "'greedy', 'best_of_n'"),
    invalid("unknown field", PROMPT | {"moode": "bfs"}, "moode", "`moode` is not known"),
    invalid("unknown nested field", PROMPT | {"search": {"width": 2}}, "search.width", "not known"),
    invalid("both prompt and messages", PROMPT | {"messages": [USER]}, None, "not both"),
    invalid("neither prompt nor messages", {"mode": "bfs"}, None, "either `prompt` or `messages`"),
    invalid("empty prompt", PROMPT | {"prompt": ""}, "prompt", "at least 1 character"),
    invalid("blank prompt", PROMPT | {"prompt": " \n"}, "prompt", "empty"),
    invalid("no messages", {"messages": []}, "messages", "at least 1"),
    invalid("nothing asked", {"messages": [USER, ASSISTANT]}, "messages", "a user message"),
    invalid("a number as prompt", PROMPT | {"prompt": 5}, "prompt", "string"),
    too_long("prompt too long", PROMPT | {"prompt": "rain " * 3000}, "prompt"),
    too_long("prompt too long to judge", {"prompt": "rain " * 1900}, "prompt"),
    too_long("a megabyte of prompt", PROMPT | {"prompt": "rain " * 200_000}, "prompt"),
    too_long("a megabyte in one word", PROMPT | {"prompt": "a" * 1_000_000}, "prompt"),
    too_long("response too long", {"prompt": "x", "response": "y " * 3000}, "response", "/judge"),
    invalid(
        "more characters than any context",
        PROMPT | {"prompt": "a" * 1_000_001},
        "prompt",
        "1000000",
    ),
    invalid("n", PROMPT | {"search": {"n": 65}}, "search.n", "64"),
    invalid("branch", PROMPT | {"search": {"branch": 17}}, "search.branch", "16"),
    invalid("beam", PROMPT | {"search": {"beam": 0}}, "search.beam", "1"),
    invalid("depth", PROMPT | {"search": {"depth": 17}}, "search.depth", "16"),
    invalid("votes", PROMPT | {"search": {"votes": 32}}, "search.votes", "31"),
    invalid(
        "accept_threshold",
        PROMPT | {"search": {"accept_threshold": 1.5}},
        "search.accept_threshold",
        "1",
    ),
    invalid("half a node", PROMPT | {"budget": {"max_nodes": 1.5}}, "budget.max_nodes", "integer"),
    invalid("max_nodes", PROMPT | {"budget": {"max_nodes": 65}}, "budget.max_nodes", "64"),
    invalid("max_tokens", PROMPT | {"budget": {"max_tokens": 0}}, "budget.max_tokens", "1"),
    invalid("deadline", PROMPT | {"budget": {"deadline_ms": -1}}, "budget.deadline_ms", "1"),
    invalid("version", PROMPT | {"checkpoint": {"actor": -1}}, "checkpoint.actor", "0"),
    Bad(
        "unknown version",
        PROMPT | {"checkpoint": {"refiner": 7}},
        404,
        "not_found",
        None,
        "there is no checkpoint refiner@7",
    ),
    invalid(
        "NaN", raw('"x", "search": {"accept_threshold": NaN}'), "search.accept_threshold", "finite"
    ),
    invalid("Infinity", raw('"x", "sampling": {"top_p": Infinity}'), "sampling.top_p", "finite"),
    invalid(
        "1e999",
        raw('"x", "search": {"accept_threshold": 1e999}'),
        "search.accept_threshold",
        "finite",
    ),
    invalid("NaN in kwargs", raw_schema("[NaN]"), KWARGS, "finite"),
    invalid("lone surrogate", raw(r'"\ud800"'), "prompt", "unicode"),
    invalid(
        "lone surrogate in a message",
        r'{"messages": [{"role": "user", "content": "\udfff"}]}',
        "messages.0.content",
        "surrogate",
    ),
    invalid("lone surrogate in kwargs", raw_schema(r'"\ud800"'), KWARGS, "surrogate"),
    invalid("lone surrogate as a key", raw_schema(r'{"\ud800": 1}'), KWARGS, "surrogate"),
    invalid(
        "lone surrogate as an id",
        raw(r'"x", "constraints": [{"id": "\ud800"}]'),
        "constraints.0.id",
        "surrogate",
    ),
    invalid(
        "lone surrogate in a model's name",
        raw(r'"x", "model": "\ud800"'),
        "model",
        "surrogate",
        CHAT,
    ),
    invalid("lone surrogate as a field", raw(r'"x", "\ud800": 1'), None, "unicode"),
    invalid("NUL", PROMPT | {"prompt": "a\0b"}, "prompt", "NUL"),
    invalid("NUL in kwargs", constrained("regex", pattern="\0"), KWARGS, "NUL"),
    invalid(
        "unknown constraint",
        constrained("length_constraints:number_word"),
        "constraints.0.id",
        f"Did you mean {WORDS}",
    ),
    invalid(
        "missing kwargs", constrained(WORDS, relation="at most"), f"{KWARGS}.num_words", "missing"
    ),
    invalid(
        "unknown kwargs",
        constrained(WORDS, num_words=3, relation="at most", w=1),
        f"{KWARGS}.w",
        "takes num_words, relation",
    ),
    invalid(
        "wrong kwargs",
        constrained(WORDS, num_words="3", relation="at most"),
        f"{KWARGS}.num_words",
        "integer",
    ),
    invalid(
        "not a pattern",
        constrained("regex", pattern="("),
        f"{KWARGS}.pattern",
        "not a regular expression",
    ),
    invalid(
        "not a JSON schema",
        constrained("json_schema", schema={"type": "strin"}),
        f"{KWARGS}.schema",
        "$.type",
    ),
    invalid(
        "a deep JSON schema",
        constrained("json_schema", schema=nested(200)),
        f"{KWARGS}.schema",
        "64 levels",
    ),
    invalid(
        "too many constraints",
        PROMPT | {"constraints": [{"id": "regex"}] * 65},
        "constraints",
        "64",
    ),
    invalid("judging nothing", PROMPT | {"response": "x"}, "mode", "not known", "/judge"),
    invalid("no response to judge", {"prompt": "x"}, "response", "required", "/judge"),
]
