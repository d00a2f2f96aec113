"""What spans and attributes are called: the OpenTelemetry conventions' names where there is one, ``duologue.…`` else.

Source: OpenTelemetry semantic conventions, the generative AI and the test registries. They are development-stage; the
constants of the library that lists them move between versions, so the strings stand here.
"""

from __future__ import annotations

SCOPE = "duologue"
"""Instrumentation scope of every span that Duologue makes itself."""

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
CONVERSATION_ID = "gen_ai.conversation.id"
AGENT_NAME = "gen_ai.agent.name"
REQUEST_MODEL = "gen_ai.request.model"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
TOOL_NAME = "gen_ai.tool.name"
TOOL_CALL_ID = "gen_ai.tool.call.id"
TOOL_TYPE = "gen_ai.tool.type"
ERROR_TYPE = "error.type"
TEST_CASE_NAME = "test.case.name"
TEST_CASE_STATUS = "test.case.result.status"
TEST_SUITE_NAME = "test.suite.name"

EVALUATION_EVENT = "gen_ai.evaluation.result"
EVALUATION_NAME = "gen_ai.evaluation.name"
EVALUATION_VALUE = "gen_ai.evaluation.score.value"
EVALUATION_LABEL = "gen_ai.evaluation.score.label"
EVALUATION_EXPLANATION = "gen_ai.evaluation.explanation"

RUN_ID = "duologue.run.id"
RUN_STATUS = "duologue.run.status"
SCENARIO = "duologue.scenario.name"
SET = "duologue.set.id"
BATCH = "duologue.batch.id"
SEED = "duologue.seed"
VERDICT = "duologue.verdict"
TERMINATION = "duologue.termination"
TURN = "duologue.turn"
ROLE = "duologue.participant.role"
INDEX = "duologue.participant.index"
ASKER = "duologue.model.asker"
COST = "duologue.model.cost"
ATTEMPTS = "duologue.model.attempts"
REPLAYED = "duologue.model.replayed"
CHECK_KIND = "duologue.check.kind"
JUDGE = "duologue.judge.name"
JUDGE_KIND = "duologue.judge.kind"
MESSAGE_IDS = "duologue.message.ids"
