"""An engine that plays a plausible search, and one that plays a hostile one."""

import asyncio
import math
from hashlib import sha256

from app.engine.base import Call
from tests.helpers.scripts import FINE, SHORT, Part, judged_text, part_of
from tests.helpers.speaking import Pace, SpeakingEngine

SLOGANS = (
    "Every cup tells a story, and every leaf remembers the hill it grew on.",
    "Steep slowly, sip gladly, and stay for another cup of the good life.",
    "Leaves, water, time: the whole world in a small warm cup.",
    "A quiet corner for people who like their mornings unhurried.",
    "Tea first, then everything else.",
)
REWRITES = (
    "Every leaf remembers its hill.",
    "Steep slowly, sip gladly, stay longer.",
    "The whole world in a cup.",
    "A quiet corner for unhurried mornings.",
)
HOSTILE = (
    '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'
    "</textarea></svg><svg onload=alert(1)> {{7*7}} ${7*7} <!-- --> &lt;b&gt; "
    "\u202eright to left\u202c [link](javascript:alert(1)) \u001b[31mred"
)
WORD_SECONDS = 0.03


def plausible_engine(word_seconds: float = WORD_SECONDS) -> SpeakingEngine:
    """Responses that are too long, rewrites that are shorter, and a judge that likes those."""
    count = 0

    async def script(call: Call) -> str:
        nonlocal count
        count += 1
        match part_of(call):
            case Part.RESPONSE:
                return SLOGANS[count % len(SLOGANS)]
            case Part.REWRITE:
                return REWRITES[count % len(REWRITES)]
            case Part.CRITIQUE:
                text = judged_text(call) or ""
                return _critique(text, liked=_chance(f"{text} {count}") < 0.9 - len(text) / 80)

    return SpeakingEngine(script, pace=_pace(word_seconds), log_probability=_verdict)


def hostile_engine() -> SpeakingEngine:
    """Generates markup, scripts and control characters in every reply."""

    async def script(call: Call) -> str:
        return f"{SHORT} {HOSTILE}" if part_of(call) is Part.CRITIQUE else HOSTILE

    return SpeakingEngine(script, pace=_pace(0))


def _critique(text: str, *, liked: bool) -> str:
    words = len(text.split())
    said = f"the slogan has {words} words and names what the shop is about"
    return f"{FINE}: {said}" if liked else f"{SHORT}: {said}, but it is too long to remember"


def _verdict(call: Call, option: str) -> float:
    yes = call.messages[-1].content.startswith(FINE)
    sure = 0.55 + 0.4 * _chance(call.messages[-1].content)
    return math.log(sure if (option == " yes") == yes else 1 - sure)


def _pace(seconds: float) -> Pace:
    async def pace(_: Call, __: int) -> None:
        await asyncio.sleep(seconds)

    return pace


def _chance(text: str) -> float:
    return int.from_bytes(sha256(text.encode()).digest()[:4]) / 2**32
