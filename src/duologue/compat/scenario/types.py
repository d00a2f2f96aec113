"""Types, at the module path of the Scenario library.

Its message types with a trace id are plain messages here: a message in the conversation is what the participant said,
and nothing is added to it.
"""

from __future__ import annotations

from duologue.conversation.adapter import AgentInput, AgentReturnTypes, JudgmentRequest
from duologue.conversation.result import ScenarioResult
from duologue.conversation.setup import ScriptStep
from duologue.messages import Message
from duologue.vocabulary import AgentRole

ChatCompletionMessageParamWithTrace = Message
ChatCompletionAssistantMessageParamWithTrace = Message
ChatCompletionDeveloperMessageParamWithTrace = Message
ChatCompletionFunctionMessageParamWithTrace = Message
ChatCompletionSystemMessageParamWithTrace = Message
ChatCompletionToolMessageParamWithTrace = Message
ChatCompletionUserMessageParamWithTrace = Message

__all__ = [
    "AgentInput",
    "AgentReturnTypes",
    "AgentRole",
    "ChatCompletionAssistantMessageParamWithTrace",
    "ChatCompletionDeveloperMessageParamWithTrace",
    "ChatCompletionFunctionMessageParamWithTrace",
    "ChatCompletionMessageParamWithTrace",
    "ChatCompletionSystemMessageParamWithTrace",
    "ChatCompletionToolMessageParamWithTrace",
    "ChatCompletionUserMessageParamWithTrace",
    "JudgmentRequest",
    "ScenarioResult",
    "ScriptStep",
]
