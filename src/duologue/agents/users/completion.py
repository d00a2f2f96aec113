"""A user played by a small local model, which is better at continuing a transcript than at taking a part.

The prompt is two finished example calls and the call in hand, each with a brief in brackets; the model writes the next
line of the customer. All that comes before the newest line stays the same from turn to turn, so a server that caches
prompts reads only that line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from duologue.agents.users.answer import UserAnswer, problem_with
from duologue.agents.users.endings import MORE_PATTERNS, any_match, reason_for_leaving, sentences
from duologue.agents.users.prompt import Brief
from duologue.agents.users.utterances import Speaker, Utterance, last_of
from duologue.errors import SimulatorError
from duologue.models.ask import ask_completion
from duologue.models.base import CompletionModel
from duologue.models.scope import RunScope

TEMPERATURES = (0.0, 0.6, 1.0)
"""For the first try, and for those after a line that a customer would not say."""
_STOP = ("\n", "Agent:", "Customer:", "[")
_LINE_TOKENS = 60
_HISTORY = 8000
"""Characters of the conversation that the model is shown: its newest part."""
_GREETING = "Hello, how can I help you?"
_GIVES_UP = "I think we are not getting anywhere. I will leave it. Bye."
_LEAVING = re.compile(r"\b(?:(?:good)?bye|thank(?:s| you)|that is all)\b", re.IGNORECASE)
_DOES_NOT_KNOW = "I don't have that."
"""How the line begins after one that was made up: the model goes on with what it does know."""
_GOODBYE = re.compile(r"\b(?:good)?bye\b", re.IGNORECASE)

_EXAMPLES = """\
Telephone calls. The notes in brackets say who the customer is and what the customer wants. The customer speaks in \
short sentences, answers each question from the notes, and says "Bye." once it is done.

[Customer: Wants to move the dentist appointment on 3 May to another day. New day: 10 May. Time: 9:15. Insurance: \
Alpina. Name: Paul Green.]
Agent: Good morning, Dental Care, what can I do for you?
Customer: Good morning, I need to move my appointment on 3 May to 10 May.
Agent: Of course. What is your patient number, or your name?
Customer: I don't have that. My name is Paul Green.
Agent: Thank you. I could offer 8:40 or 9:15. What time suits you?
Customer: 9:15, please.
Agent: That is 10 May at 9:15. Shall I change it?
Customer: Yes, please.
Agent: Your appointment has been moved to 10 May at 9:15. Is there anything else?
Customer: No, that is all. Bye.

[Customer: Bought a kettle that leaks and wants a new one. Order number: 77120. Street: 5 Mill Lane. Name: Rita Moss.]
Agent: Hello, how can I help you?
Customer: Hello, my new kettle leaks, and I would like another one.
Agent: I am sorry to hear that. What is the order number?
Customer: It is 77120.
Agent: On which day did you buy it?
Customer: I don't remember.
Agent: No problem. Where shall we send the new one?
Customer: To Rita Moss, 5 Mill Lane.
Agent: A new kettle is on its way to 5 Mill Lane.
Customer: Thank you very much. Bye.

"""


_EXAMPLE_FACTS = ("Paul Green", "Rita Moss", "Mill Lane", "Alpina", "77120", "9:15", "8:40")
"""Said in a call where nobody has mentioned them, they come from the examples."""


async def continue_call(
    model: CompletionModel, brief: Brief, heard: Sequence[Utterance], scope: RunScope, *, temperature: float | None
) -> UserAnswer:
    """What the customer says next.

    Args:
        model: what continues the transcript.
        brief: what the customer knows.
        heard: the conversation so far.
        scope: of the run; its seed decides the sampling.
        temperature: for the first try; None for the one that was measured to work best.

    Raises:
        SimulatorError: nothing that could be said, and nothing had been said before either.
        ModelError: the model did not answer.
    """
    prompt = transcript(brief, heard)
    agent_said = last_of(heard, Speaker.AGENT)
    own = [_plain(item.text) for item in heard if item.speaker is Speaker.USER]
    chance = scope.context.random("user", scope.who, len(heard))
    start = text = problem = ""
    for usual in TEMPERATURES:
        warmth = usual if temperature is None else max(usual, temperature)
        completion = await ask_completion(
            model,
            f"{prompt} {start}".rstrip(),
            scope,
            stop=_STOP,
            max_tokens=_LINE_TOKENS,
            temperature=warmth,
            seed=chance.getrandbits(31) if warmth else None,
        )
        answer = _answer(_line(f"{start} {completion.text.strip()}"), agent_said)
        text = answer.message
        made_up = _made_up(text, prompt)
        problem = made_up or problem_with(answer, heard) or ("it was said before" if _stale(text, own) else "")
        if not problem:
            return answer
        start = _DOES_NOT_KNOW if made_up else start
    if own and start and not _stale(start, own):
        return UserAnswer(message=start)
    if own:
        return UserAnswer(message=_GIVES_UP, reason="gave_up")
    raise SimulatorError(
        f"{model.name} did not play the user in {len(TEMPERATURES)} tries: {problem}. It wrote: {text!r}. Use a larger "
        "model, or give the user a clearer goal",
        who=scope.who,
    )


def transcript(brief: Brief, heard: Sequence[Utterance]) -> str:
    """The prompt: the examples, the brief, the newest part of the conversation, and the beginning of the next line."""
    lines = [f"{_LABELS[item.speaker]}: {_one_line(item.text)}" for item in heard]
    if not heard or heard[0].speaker is Speaker.USER:
        lines.insert(0, f"Agent: {_GREETING}")
    if heard and heard[-1].speaker is Speaker.USER:
        lines.append("Agent: Hello?")
    while len(lines) > 2 and sum(map(len, lines)) > _HISTORY:
        del lines[:2]
    return f"{_EXAMPLES}[Customer: {notes(brief)}]\n" + "\n".join(lines) + "\nCustomer:"


def notes(brief: Brief) -> str:
    """The brief in one line: what is wanted first, then who the customer is, then the facts."""
    persona = brief.played_by()
    facts = [f"{name}: {value}" for name, value in persona.facts.items()]
    parts = [
        brief.goal,
        *persona.goals,
        brief.situation,
        persona.description,
        ", ".join(persona.traits),
        persona.style,
        *facts,
    ]
    if persona.name:
        parts.append(f"Name: {persona.name}")
    text = " ".join(f"{part.rstrip('.! ')}." for part in map(_one_line, parts) if part)
    return text.replace("[", "(").replace("]", ")")


def _answer(text: str, agent_said: str) -> UserAnswer:
    """The line, and whether it is the last. A goodbye in answer to a question came too early and is left out."""
    if not _GOODBYE.search(text):
        return UserAnswer(message=text)
    if agent_said.rstrip().endswith("?") and not any_match(MORE_PATTERNS, agent_said):
        rest = " ".join(part for part in sentences(text) if not _LEAVING.search(part))
        if rest:
            return UserAnswer(message=rest)
    return UserAnswer(message=text, reason=reason_for_leaving(agent_said))


def _made_up(text: str, prompt: str) -> str | None:
    """What this line says that nobody has mentioned in this call."""
    call = prompt.removeprefix(_EXAMPLES)
    leaked = [fact for fact in _EXAMPLE_FACTS if fact in text and fact not in call]
    numbers = [number for number in re.findall(r"\d{4,}", text) if number not in call]
    return f"nobody has mentioned {(leaked or numbers)[0]!r}" if leaked or numbers else None


def _stale(text: str, own: Sequence[str]) -> bool:
    """Whether the user has just said that, or has said it twice."""
    line = _plain(text)
    return line in own[-2:] or (len(line.split()) > 2 and own.count(line) > 1)


_LABELS = {Speaker.USER: "Customer", Speaker.AGENT: "Agent"}


def _line(text: str) -> str:
    return text.strip().strip('"').strip()


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
