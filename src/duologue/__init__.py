"""Duologue rehearses AI agents before real users meet them.

A simulated user talks with the agent under test; a judge and checks decide what the conversation was worth; every run
is recorded. The public names are listed in ``__all__`` and loaded when they are first used, so that importing the
package costs next to nothing.

    import duologue

    result = await duologue.run(
        name="refund",
        description="The customer's headphones arrived broken; they want their money back.",
        agents=[MyAgent(), duologue.UserSimulatorAgent(), duologue.JudgeAgent(criteria=["A refund is promised"])],
    )
    assert result.success
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from duologue.version import __version__ as __version__

if TYPE_CHECKING:
    from duologue.agents.http.agent import HttpAgent as HttpAgent
    from duologue.agents.judge import JudgeAgent as JudgeAgent
    from duologue.agents.red_team import DEFAULT_GOAT_TECHNIQUES as DEFAULT_GOAT_TECHNIQUES
    from duologue.agents.red_team import DEFAULT_TECHNIQUES as DEFAULT_TECHNIQUES
    from duologue.agents.red_team import AttackerOutput as AttackerOutput
    from duologue.agents.red_team import AttackTechnique as AttackTechnique
    from duologue.agents.red_team import CrescendoStrategy as CrescendoStrategy
    from duologue.agents.red_team import GoatStrategy as GoatStrategy
    from duologue.agents.red_team import RedTeamAgent as RedTeamAgent
    from duologue.agents.red_team import RedTeamStrategy as RedTeamStrategy
    from duologue.agents.red_team import Technique as Technique
    from duologue.agents.users.agenda import AgendaUser as AgendaUser
    from duologue.agents.users.agenda import Slot as Slot
    from duologue.agents.users.persona import Persona as Persona
    from duologue.agents.users.scripted import ScriptedUser as ScriptedUser
    from duologue.agents.users.simulator import UserSimulatorAgent as UserSimulatorAgent
    from duologue.checks.metrics import ExpectedToolCall as ExpectedToolCall
    from duologue.checks.metrics import Grading as Grading
    from duologue.checks.metrics import GradingCheck as GradingCheck
    from duologue.checks.metrics import Metric as Metric
    from duologue.checks.metrics import grade as grade
    from duologue.context import Context as Context
    from duologue.conversation.adapter import AgentAdapter as AgentAdapter
    from duologue.conversation.adapter import AgentInput as AgentInput
    from duologue.conversation.adapter import AgentReturnTypes as AgentReturnTypes
    from duologue.conversation.adapter import AgentSession as AgentSession
    from duologue.conversation.adapter import AttributedMessage as AttributedMessage
    from duologue.conversation.adapter import JudgmentRequest as JudgmentRequest
    from duologue.conversation.adapter import UserDone as UserDone
    from duologue.conversation.cache import cache as cache
    from duologue.conversation.executor import ScenarioExecutor as ScenarioExecutor
    from duologue.conversation.observers import add_observer as add_observer
    from duologue.conversation.observers import remove_observer as remove_observer
    from duologue.conversation.result import ScenarioResult as ScenarioResult
    from duologue.conversation.result import ScenarioState as ScenarioState
    from duologue.conversation.result import read_result as read_result
    from duologue.conversation.run import StreamChunk as StreamChunk
    from duologue.conversation.run import arun as arun
    from duologue.conversation.run import prepare as prepare
    from duologue.conversation.run import run as run
    from duologue.conversation.run import stream as stream
    from duologue.conversation.script import agent as agent
    from duologue.conversation.script import check as check
    from duologue.conversation.script import fail as fail
    from duologue.conversation.script import interrupt as interrupt
    from duologue.conversation.script import judge as judge
    from duologue.conversation.script import message as message
    from duologue.conversation.script import proceed as proceed
    from duologue.conversation.script import succeed as succeed
    from duologue.conversation.script import user as user
    from duologue.conversation.setup import Check as Check
    from duologue.conversation.setup import CheckInput as CheckInput
    from duologue.conversation.setup import CheckOutcome as CheckOutcome
    from duologue.conversation.setup import ScriptStep as ScriptStep
    from duologue.conversation.voice_state import InterruptionConfig as InterruptionConfig
    from duologue.journal.jsonl import read_journal as read_journal
    from duologue.models.resolve import resolve as resolve
    from duologue.models.scope import Budget as Budget
    from duologue.models.scope import limit_process as limit_process
    from duologue.reports.rows import results as results
    from duologue.settings import ModelConfig as ModelConfig
    from duologue.settings import ScenarioConfig as ScenarioConfig
    from duologue.tracing.receiver import OtlpReceiver as OtlpReceiver
    from duologue.tracing.setup import judge_span_collector as judge_span_collector
    from duologue.tracing.setup import scenario_only as scenario_only
    from duologue.tracing.setup import setup_scenario_tracing as setup_scenario_tracing
    from duologue.tracing.setup import with_custom_scopes as with_custom_scopes
    from duologue.vocabulary import AgentRole as AgentRole
    from duologue.vocabulary import CassetteMode as CassetteMode
    from duologue.vocabulary import RunStatus as RunStatus
    from duologue.vocabulary import Termination as Termination
    from duologue.vocabulary import Verdict as Verdict
    from duologue.voice import effects as effects
    from duologue.voice.adapter import VoiceAgentAdapter as VoiceAgentAdapter
    from duologue.voice.adapters.composable import ComposableVoiceAgent as ComposableVoiceAgent
    from duologue.voice.adapters.composable import ElevenLabsVoiceAgent as ElevenLabsVoiceAgent
    from duologue.voice.adapters.elevenlabs_agent import ElevenLabsAgentAdapter as ElevenLabsAgentAdapter
    from duologue.voice.adapters.gemini_live import GeminiLiveAgentAdapter as GeminiLiveAgentAdapter
    from duologue.voice.adapters.livekit import LiveKitAgentAdapter as LiveKitAgentAdapter
    from duologue.voice.adapters.openai_realtime import OpenAIRealtimeAgentAdapter as OpenAIRealtimeAgentAdapter
    from duologue.voice.adapters.pipecat import PipecatAgentAdapter as PipecatAgentAdapter
    from duologue.voice.adapters.retell import RetellAgentAdapter as RetellAgentAdapter
    from duologue.voice.adapters.twilio import TwilioAgentAdapter as TwilioAgentAdapter
    from duologue.voice.adapters.vapi import VapiAgentAdapter as VapiAgentAdapter
    from duologue.voice.adapters.webrtc import WebRTCAgentAdapter as WebRTCAgentAdapter
    from duologue.voice.adapters.websocket import WebSocketAgentAdapter as WebSocketAgentAdapter
    from duologue.voice.adapters.websocket_protocol import WebSocketProtocol as WebSocketProtocol
    from duologue.voice.audio import AudioChunk as AudioChunk
    from duologue.voice.hosted_speech import ElevenLabsSTTProvider as ElevenLabsSTTProvider
    from duologue.voice.hosted_speech import OpenAISTTProvider as OpenAISTTProvider
    from duologue.voice.metrics import LatencyMetrics as LatencyMetrics
    from duologue.voice.port import AdapterCapabilities as AdapterCapabilities
    from duologue.voice.port import UnsupportedCapabilityError as UnsupportedCapabilityError
    from duologue.voice.recognition import STTProvider as STTProvider
    from duologue.voice.recognition import set_stt_provider as set_stt_provider
    from duologue.voice.recording import VoiceRecording as VoiceRecording
    from duologue.voice.script import audio as audio
    from duologue.voice.script import dtmf as dtmf
    from duologue.voice.script import silence as silence
    from duologue.voice.script import sleep as sleep
    from duologue.voice.synthesis import register_tts_provider as register_tts_provider
    from duologue.voice.timeline import AudioSegment as AudioSegment
    from duologue.voice.timeline import VoiceEvent as VoiceEvent

    configure = ScenarioConfig.configure
    default_config = ScenarioConfig.default_config

_HOMES: dict[str, str] = {
    "AdapterCapabilities": "voice.port",
    "AgendaUser": "agents.users.agenda",
    "AgentAdapter": "conversation.adapter",
    "AgentInput": "conversation.adapter",
    "AgentReturnTypes": "conversation.adapter",
    "AgentRole": "vocabulary",
    "AgentSession": "conversation.adapter",
    "AttackTechnique": "agents.red_team",
    "AttackerOutput": "agents.red_team",
    "AttributedMessage": "conversation.adapter",
    "AudioChunk": "voice.audio",
    "AudioSegment": "voice.timeline",
    "Budget": "models.scope",
    "CassetteMode": "vocabulary",
    "Check": "conversation.setup",
    "CheckInput": "conversation.setup",
    "CheckOutcome": "conversation.setup",
    "ComposableVoiceAgent": "voice.adapters.composable",
    "Context": "context",
    "CrescendoStrategy": "agents.red_team",
    "DEFAULT_GOAT_TECHNIQUES": "agents.red_team",
    "DEFAULT_TECHNIQUES": "agents.red_team",
    "ElevenLabsAgentAdapter": "voice.adapters.elevenlabs_agent",
    "ElevenLabsSTTProvider": "voice.hosted_speech",
    "ElevenLabsVoiceAgent": "voice.adapters.composable",
    "ExpectedToolCall": "checks.metrics",
    "GeminiLiveAgentAdapter": "voice.adapters.gemini_live",
    "GoatStrategy": "agents.red_team",
    "Grading": "checks.metrics",
    "GradingCheck": "checks.metrics",
    "HttpAgent": "agents.http.agent",
    "InterruptionConfig": "conversation.voice_state",
    "JudgeAgent": "agents.judge",
    "JudgmentRequest": "conversation.adapter",
    "LatencyMetrics": "voice.metrics",
    "LiveKitAgentAdapter": "voice.adapters.livekit",
    "Metric": "checks.metrics",
    "ModelConfig": "settings",
    "OpenAIRealtimeAgentAdapter": "voice.adapters.openai_realtime",
    "OpenAISTTProvider": "voice.hosted_speech",
    "OtlpReceiver": "tracing.receiver",
    "Persona": "agents.users.persona",
    "PipecatAgentAdapter": "voice.adapters.pipecat",
    "RedTeamAgent": "agents.red_team",
    "RedTeamStrategy": "agents.red_team",
    "RetellAgentAdapter": "voice.adapters.retell",
    "RunStatus": "vocabulary",
    "STTProvider": "voice.recognition",
    "ScenarioConfig": "settings",
    "ScenarioExecutor": "conversation.executor",
    "ScenarioResult": "conversation.result",
    "ScenarioState": "conversation.result",
    "ScriptStep": "conversation.setup",
    "ScriptedUser": "agents.users.scripted",
    "Slot": "agents.users.agenda",
    "StreamChunk": "conversation.run",
    "Technique": "agents.red_team",
    "Termination": "vocabulary",
    "UnsupportedCapabilityError": "voice.port",
    "TwilioAgentAdapter": "voice.adapters.twilio",
    "UserDone": "conversation.adapter",
    "UserSimulatorAgent": "agents.users.simulator",
    "VapiAgentAdapter": "voice.adapters.vapi",
    "Verdict": "vocabulary",
    "VoiceAgentAdapter": "voice.adapter",
    "VoiceEvent": "voice.timeline",
    "VoiceRecording": "voice.recording",
    "WebRTCAgentAdapter": "voice.adapters.webrtc",
    "WebSocketAgentAdapter": "voice.adapters.websocket",
    "WebSocketProtocol": "voice.adapters.websocket_protocol",
    "add_observer": "conversation.observers",
    "agent": "conversation.script",
    "arun": "conversation.run",
    "audio": "voice.script",
    "cache": "conversation.cache",
    "check": "conversation.script",
    "dtmf": "voice.script",
    "fail": "conversation.script",
    "grade": "checks.metrics",
    "interrupt": "conversation.script",
    "judge": "conversation.script",
    "judge_span_collector": "tracing.setup",
    "limit_process": "models.scope",
    "message": "conversation.script",
    "prepare": "conversation.run",
    "proceed": "conversation.script",
    "read_journal": "journal.jsonl",
    "read_result": "conversation.result",
    "register_tts_provider": "voice.synthesis",
    "remove_observer": "conversation.observers",
    "resolve": "models.resolve",
    "results": "reports.rows",
    "run": "conversation.run",
    "scenario_only": "tracing.setup",
    "set_stt_provider": "voice.recognition",
    "setup_scenario_tracing": "tracing.setup",
    "silence": "voice.script",
    "sleep": "voice.script",
    "stream": "conversation.run",
    "succeed": "conversation.script",
    "user": "conversation.script",
    "with_custom_scopes": "tracing.setup",
}
"""Where each public name lives."""

_MODULES = frozenset(
    {
        "checks",
        "errors",
        "integrations",
        "journal",
        "messages",
        "models",
        "reports",
        "stats",
        "suites",
        "testing",
        "tracing",
        "transcripts",
        "voice",
    }
)
"""Public modules, loaded when they are first used, too: ``duologue.checks`` after ``import duologue``."""

__all__ = [*sorted(_HOMES), "configure", "default_config", "effects"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in {"configure", "default_config"}:
        # Not kept in this module: the default configuration changes, and configure belongs to its class.
        return getattr(import_module("duologue.settings").ScenarioConfig, name)
    if name in _MODULES:
        return import_module(f"duologue.{name}")
    if name == "effects":
        return import_module("duologue.voice.effects")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'duologue' has no attribute '{name}'")
    value = getattr(import_module(f"duologue.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
