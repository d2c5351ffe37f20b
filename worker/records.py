"""What stages keep of their items, as JSON and back."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from app.domain.judgment import ConstraintResult, Judgment, Vote
from app.domain.prompt import Constraint, Message, Prompt

Record = dict[str, Any]


def prompt_record(prompt: Prompt) -> Record:
    """A prompt as JSON."""
    return {
        "messages": message_records(prompt.messages),
        "constraints": [{"id": c.id, "kwargs": dict(c.kwargs)} for c in prompt.constraints],
    }


def read_prompt(record: Mapping[str, Any]) -> Prompt:
    """What `prompt_record` made."""
    return Prompt(
        tuple(Message(**message) for message in record["messages"]),
        tuple(Constraint(**constraint) for constraint in record["constraints"]),
    )


def message_records(messages: Iterable[Message]) -> list[Record]:
    """Chat messages in the form that TRL and everybody else uses."""
    return [{"role": message.role, "content": message.content} for message in messages]


def judgment_record(judgment: Judgment) -> Record:
    """A judgment as JSON."""
    return {
        "votes": [asdict(vote) for vote in judgment.votes],
        "constraints": [
            {
                "id": result.id,
                "kwargs": dict(result.kwargs),
                "satisfied": result.satisfied,
                "message": result.message,
            }
            for result in judgment.constraints
        ],
        "gate": judgment.gate,
    }


def read_judgment(record: Mapping[str, Any]) -> Judgment:
    """What `judgment_record` made."""
    return Judgment(
        tuple(Vote(**vote) for vote in record["votes"]),
        tuple(ConstraintResult(**result) for result in record["constraints"]),
        record["gate"],
    )
