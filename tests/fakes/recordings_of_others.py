"""Small samples of the formats of other tools, as their documentation has them.

Each holds the same conversation: somebody asks for parcel 7, the agent calls ``find`` with ``{"id": "7"}``, the tool
answers ``seven``, the agent says that it is on its way. Samples without tools say so.
"""

import json
from dataclasses import dataclass
from typing import Any

ASKED, CALLED, FOUND, ANSWERED = "Where is parcel 7?", {"id": "7"}, "seven", "It is on its way."


@dataclass(frozen=True)
class Sample:
    """A file: its format, what it holds, and whether a tool is called in it."""

    name: str
    format: str
    value: Any
    tool: bool = True
    prompt: bool = False


def _user(**more: Any) -> dict[str, Any]:
    return {"role": "user", "content": ASKED, **more}


def _said(text: str = ANSWERED) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


OPENAI_CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": json.dumps(CALLED)}}
CHAT = [
    _user(),
    {"role": "assistant", "content": None, "tool_calls": [OPENAI_CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": FOUND},
    _said(),
]
BLOCKS = [
    _user(),
    {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "find", "input": CALLED}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": FOUND}]},
    {"role": "assistant", "content": [{"type": "text", "text": ANSWERED}]},
]
ITEMS = [
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": ASKED}]},
    {"type": "function_call", "call_id": "c1", "name": "find", "arguments": json.dumps(CALLED), "id": "fc_1"},
    {"type": "function_call_output", "call_id": "c1", "output": FOUND},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": ANSWERED}]},
]
LANGCHAIN = [
    {"type": "human", "content": ASKED},
    {"type": "ai", "content": "", "tool_calls": [{"name": "find", "args": CALLED, "id": "c1", "type": "tool_call"}]},
    {"type": "tool", "tool_call_id": "c1", "content": FOUND, "name": "find"},
    {"type": "ai", "content": ANSWERED},
]
CONTENTS = [
    {"role": "user", "parts": [{"text": ASKED}]},
    {"role": "model", "parts": [{"functionCall": {"name": "find", "args": CALLED}}]},
    {"role": "user", "parts": [{"functionResponse": {"name": "find", "response": {"result": FOUND}}}]},
    {"role": "model", "parts": [{"text": ANSWERED}]},
]
OTEL = [
    {"role": "user", "parts": [{"type": "text", "content": ASKED}]},
    {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "find", "arguments": CALLED}]},
    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "result": FOUND}]},
    {"role": "assistant", "parts": [{"type": "text", "content": ANSWERED}], "finish_reason": "stop"},
]
PYDANTIC = [
    {"kind": "request", "parts": [{"part_kind": "user-prompt", "content": ASKED}]},
    {
        "kind": "response",
        "parts": [{"part_kind": "tool-call", "tool_name": "find", "args": CALLED, "tool_call_id": "c"}],
    },
    {
        "kind": "request",
        "parts": [{"part_kind": "tool-return", "tool_name": "find", "content": FOUND, "tool_call_id": "c"}],
    },
    {"kind": "response", "parts": [{"part_kind": "text", "content": ANSWERED}]},
]
VERCEL = [
    {"role": "user", "content": [{"type": "text", "text": ASKED}]},
    {"role": "assistant", "content": [{"type": "tool-call", "toolCallId": "c", "toolName": "find", "input": CALLED}]},
    {
        "role": "tool",
        "content": [
            {"type": "tool-result", "toolCallId": "c", "toolName": "find", "output": {"type": "text", "value": FOUND}}
        ],
    },
    _said(),
]


def _serialised(kind: str, **kwargs: Any) -> dict[str, Any]:
    return {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", kind], "kwargs": kwargs}


def _attributes(**values: Any) -> list[dict[str, Any]]:
    return [{"key": name.replace("__", "."), "value": {"stringValue": text}} for name, text in values.items()]


SAMPLES = [
    Sample("chat_list", "openai", CHAT),
    Sample("chat_lines", "openai", {"messages": CHAT}),
    Sample("vercel", "openai", VERCEL),
    Sample(
        "request_response",
        "openai",
        {"request": {"messages": CHAT[:-1]}, "response": {"choices": [{"index": 0, "message": _said()}]}},
    ),
    Sample(
        "helicone",
        "openai",
        {"request_body": {"messages": CHAT[:-1]}, "response_body": {"choices": [{"message": _said()}]}},
    ),
    Sample(
        "choices_out_of_order",
        "openai",
        {
            "request": {"messages": CHAT[:-1]},
            "response": {
                "choices": [{"index": 1, "message": _said("another answer")}, {"index": 0, "message": _said()}]
            },
        },
    ),
    Sample("anthropic_list", "anthropic", BLOCKS),
    Sample(
        "anthropic_request",
        "anthropic",
        {
            "request": {"system": "Be kind.", "messages": BLOCKS[:-1], "model": "m"},
            "response": {"type": "message", "stop_reason": "end_turn", **BLOCKS[-1]},
        },
        prompt=True,
    ),
    Sample(
        "anthropic_batch",
        "anthropic",
        {
            "custom_id": "r1",
            "params": {"messages": BLOCKS[:-1]},
            "result": {"type": "succeeded", "message": {"type": "message", "stop_reason": "end_turn", **BLOCKS[-1]}},
        },
    ),
    Sample("response_items", "responses", ITEMS),
    Sample("response_object", "responses", {"id": "resp_1", "object": "response", "input": ASKED, "output": ITEMS[1:]}),
    Sample(
        "response_pair",
        "responses",
        {"request": {"input": ITEMS[:3], "instructions": "Be kind."}, "response": {"output": ITEMS[3:]}},
        prompt=True,
    ),
    Sample("agents_sdk", "responses", [_user(), ITEMS[1], ITEMS[2], ITEMS[3]]),
    Sample("gemini_list", "gemini", CONTENTS),
    Sample(
        "gemini_request",
        "gemini",
        {
            "request": {"contents": CONTENTS[:-1], "systemInstruction": {"parts": [{"text": "Be kind."}]}},
            "response": {"candidates": [{"content": CONTENTS[-1]}], "usageMetadata": {"promptTokenCount": 3}},
        },
        prompt=True,
    ),
    Sample(
        "langfuse_trace", "langfuse", {"id": "t1", "name": "chat", "input": {"messages": CHAT[:-1]}, "output": _said()}
    ),
    Sample("langfuse_text", "langfuse", {"id": "t1", "input": ASKED, "output": ANSWERED}, tool=False),
    Sample("langfuse_list", "langfuse", {"id": "t1", "input": CHAT[:-1], "output": [_said()]}),
    Sample(
        "langfuse_choices", "langfuse", {"id": "t1", "input": CHAT[:-1], "output": {"choices": [{"message": _said()}]}}
    ),
    Sample(
        "langfuse_json_text", "langfuse", {"id": "t1", "input": json.dumps(CHAT[:-1]), "output": json.dumps(_said())}
    ),
    Sample(
        "langfuse_state",
        "langfuse",
        {"id": "t1", "input": {"messages": LANGCHAIN[:1]}, "output": {"messages": LANGCHAIN}},
    ),
    Sample(
        "langfuse_observations",
        "langfuse",
        {
            "id": "t1",
            "input": ASKED,
            "output": ANSWERED,
            "observations": [
                {"type": "GENERATION", "startTime": "2026-01-01T10:00:01Z", "input": CHAT[:3], "output": _said()},
                {"type": "GENERATION", "startTime": "2026-01-01T10:00:00Z", "input": CHAT[:1], "output": CHAT[1]},
            ],
        },
    ),
    Sample(
        "langsmith_llm",
        "langsmith",
        {
            "id": "r1",
            "run_type": "llm",
            "inputs": {"messages": CHAT[:-1]},
            "outputs": {"choices": [{"message": _said()}]},
        },
    ),
    Sample(
        "langsmith_chain",
        "langsmith",
        {"id": "r1", "run_type": "chain", "inputs": {"messages": LANGCHAIN[:1]}, "outputs": {"messages": LANGCHAIN}},
    ),
    Sample(
        "langsmith_generations",
        "langsmith",
        {
            "id": "r1",
            "run_type": "llm",
            "inputs": {"messages": [[_serialised("HumanMessage", content=ASKED)]]},
            "outputs": {"generations": [[{"text": ANSWERED, "message": _serialised("AIMessage", content=ANSWERED)}]]},
        },
        tool=False,
    ),
    Sample("otel_messages", "otel", OTEL),
    Sample(
        "otel_span",
        "otel",
        {
            "name": "chat m",
            "attributes": {
                "gen_ai.operation.name": "chat",
                "gen_ai.input.messages": json.dumps(OTEL[:-1]),
                "gen_ai.output.messages": json.dumps(OTEL[-1:]),
                "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be kind."}]),
            },
        },
        prompt=True,
    ),
    Sample(
        "otlp",
        "otel",
        {
            "resourceSpans": [
                {
                    "scopeSpans": [
                        {
                            "spans": [
                                {
                                    "name": "chat",
                                    "attributes": _attributes(
                                        gen_ai__input__messages=json.dumps(OTEL[:-1]),
                                        gen_ai__output__messages=json.dumps(OTEL[-1:]),
                                    ),
                                }
                            ]
                        }
                    ]
                }
            ]
        },
    ),
    Sample(
        "openllmetry",
        "otel",
        {
            "attributes": {
                "gen_ai.prompt.0.role": "user",
                "gen_ai.prompt.0.content": ASKED,
                "gen_ai.completion.0.role": "assistant",
                "gen_ai.completion.0.content": ANSWERED,
            }
        },
        tool=False,
    ),
    Sample(
        "inspect",
        "inspect_ai",
        {
            "version": 2,
            "status": "success",
            "eval": {"task": "t"},
            "samples": [
                {
                    "id": 1,
                    "epoch": 1,
                    "scores": {"match": {"value": "C"}},
                    "messages": [
                        _user(source="input"),
                        {
                            "role": "assistant",
                            "content": "",
                            "tool_calls": [{"id": "c1", "function": "find", "arguments": CALLED}],
                        },
                        {"role": "tool", "tool_call_id": "c1", "function": "find", "content": FOUND},
                        _said(),
                    ],
                }
            ],
        },
    ),
    Sample(
        "livekit",
        "livekit",
        {
            "items": [
                {"id": "1", "type": "message", "role": "user", "content": [ASKED], "interrupted": False},
                {"id": "2", "type": "function_call", "call_id": "c", "name": "find", "arguments": json.dumps(CALLED)},
                {"id": "3", "type": "function_call_output", "call_id": "c", "output": FOUND, "is_error": False},
                {"id": "4", "type": "message", "role": "assistant", "content": [ANSWERED], "interrupted": False},
            ]
        },
    ),
    Sample(
        "livekit_report",
        "livekit",
        {
            "room": "r",
            "chat_history": {
                "items": [
                    {"id": "1", "type": "message", "role": "user", "content": [ASKED]},
                    {"id": "4", "type": "message", "role": "assistant", "content": [ANSWERED]},
                ]
            },
        },
        tool=False,
    ),
    Sample("langchain_list", "langchain", LANGCHAIN),
    Sample("langgraph_state", "langchain", {"values": {"messages": LANGCHAIN}}),
    Sample("langchain_data", "langchain", [{"type": item["type"], "data": item} for item in LANGCHAIN]),
    Sample(
        "langchain_dumps",
        "langchain",
        [
            _serialised("HumanMessage", content=ASKED),
            _serialised("AIMessage", content="", tool_calls=LANGCHAIN[1]["tool_calls"]),
            _serialised("ToolMessage", content=FOUND, tool_call_id="c1"),
            _serialised("AIMessage", content=ANSWERED),
        ],
    ),
    Sample("pydantic_ai", "pydantic_ai", PYDANTIC),
    Sample(
        "pydantic_ai_prompt",
        "pydantic_ai",
        {
            "messages": [
                {
                    "kind": "request",
                    "parts": [{"part_kind": "system-prompt", "content": "Be kind."}, *PYDANTIC[0]["parts"]],
                },
                *PYDANTIC[1:],
            ]
        },
        prompt=True,
    ),
    Sample(
        "adk_session",
        "adk",
        {
            "id": "s1",
            "app_name": "desk",
            "events": [
                {
                    "author": "user" if content["role"] == "user" and "text" in content["parts"][0] else "desk",
                    "content": content,
                }
                for content in CONTENTS
            ],
        },
    ),
    Sample(
        "adk_eval_set",
        "adk",
        {
            "eval_set_id": "e",
            "eval_cases": [
                {
                    "eval_id": "1",
                    "conversation": [
                        {
                            "user_content": CONTENTS[0],
                            "final_response": CONTENTS[-1],
                            "intermediate_data": {
                                "tool_uses": [{"id": "c1", "name": "find", "args": CALLED}],
                                "tool_responses": [{"id": "c1", "name": "find", "response": {"result": FOUND}}],
                            },
                        }
                    ],
                }
            ],
        },
    ),
    Sample(
        "sharegpt",
        "sharegpt",
        {
            "conversations": [
                {"from": "system", "value": "Be kind."},
                {"from": "human", "value": ASKED},
                {"from": "function_call", "value": json.dumps({"name": "find", "arguments": CALLED})},
                {"from": "observation", "value": FOUND},
                {"from": "gpt", "value": ANSWERED},
            ]
        },
        prompt=True,
    ),
    Sample(
        "glaive",
        "sharegpt",
        {
            "conversations": [
                {"from": "human", "value": ASKED},
                {"from": "gpt", "value": '<functioncall> {"name": "find", "arguments": \'{"id": "7"}\'} <|endoftext|>'},
                {"from": "tool", "value": FOUND},
                {"from": "gpt", "value": ANSWERED},
            ]
        },
    ),
    Sample(
        "hermes",
        "sharegpt",
        {
            "conversations": [
                {"from": "human", "value": ASKED},
                {"from": "gpt", "value": '<tool_call>\n{"name": "find", "arguments": {"id": "7"}}\n</tool_call>'},
                {"from": "tool", "value": f"<tool_response>\n{FOUND}\n</tool_response>"},
                {"from": "gpt", "value": ANSWERED},
            ]
        },
    ),
    Sample("alpaca", "alpaca", {"instruction": ASKED, "input": "", "output": ANSWERED}, tool=False),
    Sample(
        "deepeval_turns",
        "deepeval",
        {
            "scenario": "s",
            "turns": [
                _user(),
                {**_said(), "tools_called": [{"name": "find", "input_parameters": CALLED, "output": FOUND}]},
            ],
        },
    ),
    Sample(
        "deepeval_case",
        "deepeval",
        {
            "input": ASKED,
            "actual_output": ANSWERED,
            "tools_called": [{"name": "find", "input_parameters": CALLED, "output": FOUND}],
        },
    ),
    Sample(
        "promptfoo",
        "promptfoo",
        {
            "evalId": "e",
            "results": {
                "version": 3,
                "results": [
                    {
                        "success": True,
                        "score": 1,
                        "prompt": {"raw": json.dumps(CHAT[:-1])},
                        "response": {"output": ANSWERED},
                    }
                ],
            },
        },
    ),
    Sample(
        "promptfoo_multi",
        "promptfoo",
        {
            "evalId": "e",
            "results": {
                "results": [{"success": True, "response": {"output": ANSWERED, "metadata": {"messages": CHAT}}}]
            },
        },
    ),
    Sample(
        "swe_agent",
        "swe_agent",
        {
            "environment": "e",
            "info": {"exit_status": "submitted"},
            "history": [_user()],
            "trajectory": [{"action": "", "observation": "", "thought": ANSWERED}],
        },
        tool=False,
    ),
    Sample(
        "tau2_ticks",
        "tau_bench",
        {
            "task_id": "t",
            "termination_reason": "user_stop",
            "ticks": [
                {"tick_id": 0, "timestamp": "1", "user_chunk": {"role": "user", "content": "Where is "}},
                {"tick_id": 1, "timestamp": "2", "user_chunk": {"role": "user", "content": "parcel 7?"}},
                {
                    "tick_id": 2,
                    "timestamp": "3",
                    "agent_tool_calls": [{"id": "c", "name": "find", "arguments": CALLED}],
                    "agent_tool_results": [{"id": "c", "role": "tool", "content": FOUND}],
                },
                {"tick_id": 3, "timestamp": "4", "agent_chunk": {"role": "assistant", "content": ANSWERED}},
            ],
        },
    ),
    Sample(
        "assistants",
        "assistants",
        {
            "object": "list",
            "has_more": False,
            "data": [
                {
                    "object": "thread.message",
                    "thread_id": "t",
                    "role": "assistant",
                    "created_at": 3,
                    "content": [{"type": "text", "text": {"value": ANSWERED, "annotations": []}}],
                },
                {
                    "object": "thread.run.step",
                    "thread_id": "t",
                    "created_at": 2,
                    "step_details": {
                        "tool_calls": [
                            {
                                "id": "c",
                                "type": "function",
                                "function": {"name": "find", "arguments": json.dumps(CALLED), "output": FOUND},
                            }
                        ]
                    },
                },
                {
                    "object": "thread.message",
                    "thread_id": "t",
                    "role": "user",
                    "created_at": 1,
                    "content": [{"type": "text", "text": {"value": ASKED, "annotations": []}}],
                },
            ],
        },
    ),
    Sample(
        "chatgpt",
        "chatgpt_export",
        [
            {
                "title": "Parcels",
                "current_node": "d",
                "mapping": {
                    "a": {"message": None, "parent": None},
                    "b": {
                        "parent": "a",
                        "message": {"author": {"role": "user"}, "content": {"content_type": "text", "parts": [ASKED]}},
                    },
                    "x": {
                        "parent": "b",
                        "message": {"author": {"role": "assistant"}, "content": {"parts": ["a branch"]}},
                    },
                    "d": {
                        "parent": "b",
                        "message": {"author": {"role": "assistant"}, "content": {"parts": [ANSWERED]}},
                    },
                },
            }
        ],
        tool=False,
    ),
    Sample(
        "claude",
        "claude_export",
        [
            {
                "uuid": "u",
                "name": "Parcels",
                "chat_messages": [
                    {"sender": "human", "text": ASKED, "created_at": "2026-01-01T10:00:00Z"},
                    {"sender": "assistant", "text": ANSWERED, "content": [{"type": "text", "text": ANSWERED}]},
                ],
            }
        ],
        tool=False,
    ),
    Sample(
        "retell_list",
        "retell",
        {
            "data": [
                {
                    "call_id": "c",
                    "transcript_with_tool_calls": [
                        {"role": "user", "content": ASKED},
                        {
                            "role": "tool_call_invocation",
                            "tool_call_id": "t",
                            "name": "find",
                            "arguments": json.dumps(CALLED),
                        },
                        {"role": "tool_call_result", "tool_call_id": "t", "content": FOUND},
                        {"role": "agent", "content": ANSWERED},
                    ],
                }
            ],
            "pagination_key": None,
            "has_more": False,
        },
    ),
]
