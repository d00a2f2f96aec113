"""Executions made by hand, with no engine: what reports are tried on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from duologue.checks.metrics.grading import ExpectedToolCall, Grading, MetricGrade, OutcomeGrade, ToolCallGrade
from duologue.checks.metrics.metric import ScoreType, Tier
from duologue.journal.events import CheckEvaluated, CriterionDecision, ErrorInfo, JudgeDecided, ToolCalled, Usage
from duologue.messages import assistant_message, tool_call, tool_message, user_message
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.results.execution import Allowance, ExecutionResult
from duologue.suites.results.run import (
    GuardrailResult,
    MediaResult,
    MessageResult,
    RunResult,
    Spent,
    WorkflowResult,
)
from duologue.vocabulary import CheckStatus, Decision, RunStatus, Scope, Termination, Verdict

STARTED = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAGklEQVR4nGNgWOBCEmIY1TCqYVTD8NVAKgIAaSfhEFmc1l4AAAAASUVORK5CYII="
)
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA="
PROMPT = (
    "You are the front desk of the Harbour Hotel.\n\nBook rooms, answer questions about the house, and hand over to a "
    "person when a guest asks for one.\nNever promise a price that is not in the list of rates."
)


def spent(tokens_in=420, tokens_out=60, cost=0.0021, seconds=0.8, calls=1, unpriced=0) -> Spent:
    usage = Usage(input_tokens=tokens_in, output_tokens=tokens_out)
    return Spent(calls=calls, usage=usage, cost=cost, unpriced=unpriced, seconds=seconds)


def check(name, passed=True, turn=0, scope=Scope.TURN, explanation="", cites=(), kind=None, score=None, **details):
    status = passed if isinstance(passed, CheckStatus) else CheckStatus.PASSED if passed else CheckStatus.FAILED
    return CheckEvaluated(
        name=name,
        kind=kind or name,
        scope=scope,
        turn=turn,
        status=status,
        score=score,
        explanation=explanation,
        message_ids=list(cites),
        details=details,
    )


def case(index, scenario, agent, persona=None, trial=1, trials=1, **more) -> TestCase:
    made = TestCase(index=index, scenario=scenario, agent=agent, persona=persona, trial=trial, trials=trials, **more)
    return replace(made, seed=7000 + index)


def booking_messages(price="€ 142", slow=0.8):
    call = tool_call("find_rooms", {"from": "2026-03-14", "nights": 2, "guests": 2}, "call_1")
    said = [
        (user_message("Hello, do you have a quiet double room for two nights from the 14th?"), 0, "guest", None),
        (assistant_message(None, [call]), 0, "front desk", spent(seconds=0.4)),
        (tool_message("call_1", '{"rooms": [{"id": "204", "view": "garden", "rate": 142}]}'), 0, "front desk", None),
        (assistant_message(f"Room 204 looks out on the garden. It is {price} a night."), 0, "front desk",
         spent(seconds=slow)),
        (user_message("Good. Please book it, the name is Aïcha Ndiaye. \N{SLIGHTLY SMILING FACE}"), 1, "guest", None),
        (assistant_message("Done: room 204, 14 to 16 March, for Aïcha Ndiaye.\n\nYour number is HH-2214."), 1,
         "front desk", spent(seconds=1.3)),
    ]  # fmt: skip
    return tuple(
        MessageResult(
            id=f"m{number}",
            message=message,
            turn=turn,
            author=author,
            spent=used,
            model="acme/desk-2" if used else None,
            meta={"persona": "hurried"} if author == "guest" else {},
        )
        for number, (message, turn, author, used) in enumerate(said, 1)
    )


def judged(verdict, *decisions, reasoning=None):
    return JudgeDecided(
        judge="judge", turn=1, kind="final", verdict=verdict, decisions=list(decisions), reasoning=reasoning
    )


def decided(criterion, decision, reason, *cites):
    return CriterionDecision(criterion=criterion, decision=decision, reason=reason, message_ids=list(cites))


def run_of(made: TestCase, verdict=Verdict.PASS, **changes) -> RunResult:
    messages = changes.pop("messages", booking_messages())
    run_id = made.run_id("exec_sample")
    values = {
        "case": made,
        "run_id": run_id,
        "status": RunStatus.COMPLETED,
        "verdict": verdict,
        "termination": Termination.SCRIPT_END,
        "messages": messages,
        "system_prompts": (PROMPT,),
        "checks": (
            check("tools_called", explanation="find_rooms was called", cites=["m2"]),
            check("latency_budget", turn=1, explanation="1.3 s of 5 s"),
        ),
        "agent": spent(1400, 160, 0.0052, 2.5, 3),
        "user": spent(600, 40, 0.0004, 1.1, 2),
        "judge": spent(900, 120, 0.0018, 1.4, 1),
        "started_at": STARTED + timedelta(seconds=made.index * 3),
        "seconds": 4.2 + made.index * 0.31,
        "agent_seconds": 2.5 + made.index * 0.11,
        "turns": 2,
        "persona": made.persona,
        "self_play": made.persona is not None,
        "journal": f"journals/{run_id}.jsonl",
        "description": "A guest wants a quiet double room.",
        "labels": {"area": "booking", "tier": "smoke"},
    }
    return RunResult(**{**values, **changes})


def failing(made: TestCase) -> RunResult:
    messages = booking_messages(price="€ 99 if you decide now")
    decisions = (
        decided("The agent books the room that was asked for", Decision.MET, "Room 204 is booked.", "m6"),
        decided("No price outside the list of rates is promised", Decision.UNMET,
                "It offers € 99; the list says € 142.", "m4", "m3"),
    )  # fmt: skip
    return run_of(
        made,
        Verdict.FAIL,
        messages=messages,
        reasoning="A price was promised that is not in the list of rates.",
        termination=Termination.JUDGED,
        checks=(
            check("tools_called", explanation="find_rooms was called", cites=["m2"]),
            check("content_excludes", False, explanation="found 'if you decide now'", cites=["m4"],
                  forbidden=["if you decide now", "last chance"]),
            check("pack_eval:tone", True, turn=1, kind="pack_eval:llm_judge", score=0.8, explanation="friendly"),
        ),
        judgements=(judged(Verdict.FAIL, *decisions, reasoning="A price was promised."),),
        decisions=decisions,
        guardrails=(
            GuardrailResult(type="banned_words", direction="output", turn=0, passed=False,
                            explanation="'decide now' is not allowed"),
            GuardrailResult(type="max_length", direction="output", turn=1, passed=True),
        ),
        tools=(ToolCalled(name="find_rooms", turn=0, call_id="call_1", arguments={"nights": 2},
                          result={"rooms": []}, seconds=0.03),),
        workflow=WorkflowResult(state="booked", complete=True, transitions=(
            {"from": "ask", "to": "booked", "event": "Confirm", "turn": 1},)),
    )  # fmt: skip


def picture_run(made: TestCase) -> RunResult:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    sound = {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}
    asked = {"role": "user", "content": [{"type": "text", "text": "What is wrong with this tap?"}, picture]}
    answer = {"role": "assistant", "content": [{"type": "text", "text": "It drips; somebody comes at once."}, sound]}
    first, second = (MessageResult(id=f"m{n}", message=m, turn=0) for n, m in ((1, asked), (2, answer)))
    media = (
        MediaResult(type="image", mime_type="image/png", message_id="m1", part=1, size_bytes=83, width=16, height=16,
                    thumbnail=f"data:image/png;base64,{PIXEL}", path="media/tap.png"),
        MediaResult(type="audio", mime_type="audio/wav", message_id="m2", part=1, size_bytes=44, duration=1.5,
                    path="media/answer.wav"),
    )  # fmt: skip
    return run_of(made, messages=(first, second), media=media, turns=1, system_prompts=())


def broken(made: TestCase) -> RunResult:
    error = ErrorInfo(
        type="AgentTimeoutError",
        message="the agent 'desk-mini' did not answer within 60 s",
        who="desk-mini",
        turn=1,
        causes=["TimeoutError: POST http://localhost:8080/chat"],
    )
    return run_of(
        made,
        None,
        status=RunStatus.ERROR,
        termination=Termination.ERROR,
        error=error,
        messages=booking_messages()[:1],
        checks=(),
        turns=1,
    )


def undecided(made: TestCase) -> RunResult:
    decisions = (decided("The agent offers breakfast", Decision.INCONCLUSIVE, "Breakfast is never spoken of.", "m4"),)
    return run_of(
        made,
        Verdict.UNDECIDED,
        termination=Termination.MAX_TURNS,
        reasoning="Nobody spoke of breakfast.",
        decisions=decisions,
        judgements=(judged(Verdict.UNDECIDED, *decisions),),
    )


def hotel() -> ExecutionResult:
    """Two agents, four scenarios, trials; every outcome, and one case that was not run."""
    cases, runs = [], []

    def add(make, scenario, agent, **more):
        made = case(len(cases), scenario, agent, **more)
        cases.append(made)
        if make is not None:
            runs.append(make(made))

    for agent in ("desk-large", "desk-mini"):
        add(run_of if agent == "desk-large" else failing, "book-a-room", agent, persona="hurried")
        add(run_of, "book-a-room", agent, persona="chatty")
        for trial in (1, 2, 3):
            flaky = agent == "desk-mini" and trial == 2
            add(failing if flaky else run_of, "quote-a-price", agent, trial=trial, trials=3)
        add(picture_run, "report-a-fault", agent)
        add(undecided if agent == "desk-large" else broken, "ask-for-breakfast", agent)
    add(run_of, "nightly-call", None, kind="replay", recording="recordings/2026-03-01.jsonl")
    add(None, "late-checkout", "desk-mini", region="north", perturbation=(("hour", "23:00"),))
    key = next(made.group for made in cases if made.scenario == "quote-a-price" and made.agent == "desk-mini")
    return ExecutionResult(
        id="exec_sample",
        suite="harbour-hotel",
        path="suites/hotel.yaml",
        plan=Plan(suite="harbour-hotel", cases=tuple(cases), seed=7),
        runs=tuple(runs),
        started_at=STARTED,
        seconds=48.25,
        allowance=Allowance(undecided=0, errors=0),
        environment={"duologue": "0.1.0", "python": "3.11.9", "concurrency": 6},
        thresholds={key: {"content_excludes": 0.6}},
    )


def graded() -> ExecutionResult:
    """One run that metrics say is not good enough, with every kind of grade."""

    def metric(name, tier, score, why, code=None, ids=(), turns=(), kind=ScoreType.SCORED):
        title = name.replace("_", " ").capitalize()
        return MetricGrade(metric=name, title=title, tier=tier, weight=5.0, score=score, reason=why,
                           failure_code=code, message_ids=ids, turns=turns, score_type=kind)  # fmt: skip

    grading = Grading(
        metrics=(
            metric(
                "answer_correctness", Tier.KNOWLEDGE, 1, "€ 99 is not in the list.", "invented_price", ("m4",), (0,)
            ),
            metric("tool_routing", Tier.EXECUTION, 5, "find_rooms was called once.", None, ("m2",), (0,)),
            metric(
                "policy_kept", Tier.PROCESS, 0, "A discount for haste.", "pressure", ("m4",), (0,), ScoreType.BINARY
            ),
            metric("escalation", Tier.PROCESS, None, "Nobody asked for a person."),
            metric("manners", Tier.DELIVERY, 4, "Friendly and short.", None, ("m6",), (1,)),
            metric("brevity", Tier.DELIVERY, 3, "Two messages too many.", None, ("m6",), (1,)),
            metric("language", Tier.DELIVERY, 2, "Turns to English.", "wrong_language", ("m6",), (0, 1)),
            metric("closing", Tier.DELIVERY, 0, "No goodbye.", "no_closing"),
        ),
        outcomes=(OutcomeGrade(outcome="The room is booked", met=True, reason="A number.", message_ids=("m6",)),),
        tool_calls=(ToolCallGrade(expected=ExpectedToolCall(tool="book_room"), made=False, reason="never called"),),
        judge="acme/judge-1",
    )
    made = case(0, "book-a-room", "desk-mini")
    found = check("metrics", False, 1, Scope.CONVERSATION, "score 42.9 of 75 needed", ["m4"])
    found = replace(found, score=0.429, details=grading.model_dump(mode="json"))
    run = replace(failing(made), checks=(found,))
    plan = Plan(suite="harbour-hotel", cases=(made,), seed=7)
    return replace(hotel(), plan=plan, runs=(run,), metrics_threshold=80.0)


def many(count: int, turns: int = 3) -> ExecutionResult:
    """Runs as a long night brings them: four agents, five scenarios, one in nine fails."""
    cases, runs = [], []
    for index in range(count):
        made = case(index, f"scenario-{index % 5}", f"agent-{index // 5 % 4}", trial=index // 20 + 1,
                    trials=max(1, count // 20))  # fmt: skip
        cases.append(made)
        messages = tuple(
            MessageResult(id=f"m{2 * turn + side + 1}", turn=turn, author=("guest", "desk")[side],
                          message=(user_message, assistant_message)[side](f"Turn {turn} of {index}: " + 20 * "words "),
                          spent=spent(seconds=0.2 + (index * 7 % 50) / 25) if side else None)
            for turn in range(turns)
            for side in (0, 1)
        )  # fmt: skip
        checks = tuple(
            check(name, not (index % 9 == 4 and name == "contains" and turn == 1), turn=turn,
                  explanation="found 2 of 2 patterns", cites=[f"m{2 * turn + 2}"])
            for turn in range(turns)
            for name in ("contains", "latency_budget", "max_length")
        )  # fmt: skip
        failed = index % 9 == 4
        runs.append(
            run_of(made, Verdict.FAIL if failed else Verdict.PASS, messages=messages, checks=checks, turns=turns,
                   reasoning="a check failed" if failed else None)
        )  # fmt: skip
    return ExecutionResult(
        id="exec_many",
        suite="long-night",
        path="suites/night.yaml",
        plan=Plan(suite="long-night", cases=tuple(cases), seed=1),
        runs=tuple(runs),
        started_at=STARTED,
        seconds=61.5,
    )


HOSTILE = [
    "<script>document.title='owned'</script>",
    "</script><img src=x onerror=\"document.title='owned'\">",
    "<!--<script>",
    "[click](javascript:document.title='owned') ![x](https://evil.example/x.png) <https://evil.example>",
    "\N{ESCAPE}[31mred\N{ESCAPE}[2J\N{ESCAPE}]0;owned\N{BELL}",
    "safe \N{RIGHT-TO-LEFT OVERRIDE}gnp.exe\N{POP DIRECTIONAL FORMATTING} end",
    "a\x00b\x08c\x9bd\ufffe\u2028e\ud800f",
    "| cell | `tick` ``` fence ~~~ @somebody www.evil.example https://evil.example\n# head\n- item\n1. one",
    "]]> &lt; &#0; &bogus; <?xml version='1.0'?> <!DOCTYPE x [<!ENTITY e 'x'>]>",
    "%%data%% ${x} {{ y }} %s",
]


def hostile(text: str) -> ExecutionResult:
    """One failed run in which everything that can be said is that text."""
    name = text.replace("\ud800", "")  # what our own models hold is Unicode; messages of agents may not be
    made = case(0, name, name, persona=name, perturbation=((name, name),))
    call = tool_call(text, text, text)
    messages = (
        MessageResult(id=text, message=user_message(text), turn=0, author=text, meta={text: text}),
        MessageResult(id="m2", message=assistant_message(text, [call]), turn=0, author=text, model=text, spent=spent()),
        MessageResult(id="m3", message=tool_message(text, text), turn=0),
    )
    decision = decided(name, Decision.UNMET, name, name, "m2")
    run = run_of(
        made,
        Verdict.FAIL,
        run_id="run-hostile",
        messages=messages,
        system_prompts=(text,),
        reasoning=text,
        description=text,
        labels={text: text},
        journal=text,
        persona=text,
        checks=(check(text, False, explanation=text, cites=[text, "m2"], found=text),),
        decisions=(decision,),
        judgements=(JudgeDecided(judge=text, turn=0, kind="final", verdict=Verdict.FAIL, reasoning=text),),
        guardrails=(GuardrailResult(type=text, direction="output", turn=0, passed=False, explanation=text),),
        tools=(ToolCalled(name=text, turn=0, call_id=text, arguments=text, result=text, error=text),),
        media=(
            MediaResult(type="image", mime_type="text/html", message_id="m2", part=0, path=text, url=text,
                        thumbnail=text),
            MediaResult(type="image", mime_type="image/png", message_id="m2", part=1, path="javascript:alert(1)",
                        thumbnail="data:text/html;base64,PHNjcmlwdD4="),
        ),
        workflow=WorkflowResult(state=text, complete=False, transitions=({"from": text, "to": text, "event": text},)),
    )  # fmt: skip
    return ExecutionResult(
        id="exec_hostile",
        suite=text,
        path=text,
        plan=Plan(suite=text, cases=(made, replace(made, index=1, scenario=f"{name}2")), seed=0),
        runs=(run,),
        started_at=STARTED,
        seconds=1,
        environment={text: text},
    )


ENDLESS = {
    "one line of 5 MB": "x" * 5_000_000,
    "200,000 lines": "a line of words\n" * 200_000,
    "JSON of 3 MB": "[" + ", ".join(f'{{"id": {number}, "name": "abcde"}}' for number in range(100_000)) + "]",
    "characters that are not seen": "a\u200b" * 500_000 + "\u200b" * 1_000_000,
}
"""Texts that no page can show at once."""


def endless(text: str) -> ExecutionResult:
    """A run that failed and one that ended in an error, in which everything that may be long is."""
    made, broken = case(0, "long", "agent"), case(1, "broken", "agent")
    said = [
        user_message(text),
        assistant_message(None, [tool_call("find", {"query": text}, "call_1")]),
        tool_message("call_1", text),
        assistant_message(text),
    ]
    messages = tuple(
        MessageResult(id=f"m{number}", message=message, turn=0, author="a", meta={"note": text} if number == 4 else {})
        for number, message in enumerate(said, 1)
    )
    decision = decided("The agent is brief", Decision.UNMET, text, "m4")
    guardrail = GuardrailResult(type="length", direction="output", turn=0, passed=False, explanation=text)
    failed = run_of(
        made,
        Verdict.FAIL,
        messages=messages,
        reasoning=text,
        system_prompts=(text,),
        description=text,
        checks=(check("brief", False, explanation=text, cites=["m4"], found=text),),
        judgements=(judged(Verdict.FAIL, decision, reasoning=text),),
        decisions=(decision,),
        guardrails=(guardrail,),
    )
    error = run_of(
        broken,
        None,
        status=RunStatus.ERROR,
        messages=messages[:1],
        termination=Termination.ERROR,
        error=ErrorInfo(type="ValueError", message=text, traceback=text),
    )
    return ExecutionResult(
        id="exec_endless",
        suite="endless",
        path="suite.yaml",
        plan=Plan(suite="endless", cases=(made, broken), seed=1),
        runs=(failed, error),
        started_at=STARTED,
        seconds=9.0,
    )
