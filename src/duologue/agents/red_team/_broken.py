"""Replies that are no answers of the agent: nothing, or the text of a failure behind it. They show nothing about it."""

from __future__ import annotations

import re

_SAYS_NOTHING = "the agent said nothing, which shows neither that it held nor that it did not"
_FAILED = "the reply is the text of a failure behind the agent, which shows nothing about the agent"
_NO_WORDS = re.compile(
    r"(?:null|none|nil|undefined|nan|n/a|true|false|empty|\{\}|\[\]|\[?object object\]?"
    r"|[\[(]?(?:no (?:content|response|output|answer)|empty response)[\])]?)[.!]?",
    re.IGNORECASE,
)
_LONGEST = 2000
"""Characters that are looked at: pages of errors say so at their beginning."""
_FAILURES = (
    r"^\W{0,5}(?:<!doctype html|<html|<\?xml|<head|<title>)",
    r"^\s{0,20}\{\s{0,20}\"(?:error|errors|detail|fault|exception|errorMessage|statusCode|code)\"\s{0,5}:",
    (
        r"^\W{0,5}(?:internal |server |api |model |backend |unexpected |system |http |llm |connection |"
        r"timeout |network |fatal |runtime )?"
        r"(?:error|exception|fehler|erreur|errore|erro|ошибка|"
        r"错误|エラー|오류)(?: (?:code )?\d{3})?\s{0,3}(?:[:：\-–(]|$)"
    ),
    r"traceback \(most recent call last\)|^\W{0,5}[\w.]{3,60}(?:error|exception)\s{0,3}:",
    (
        r"\b(?:http(?:/\d(?:\.\d)?)? ?)?(?:4(?:0[0-9]|13|22|29)|5\d\d)[ :-]{1,3}(?:bad (?:gateway|request)|"
        r"internal server error|service (?:temporarily )?unavailable|"
        r"gateway time-?out|too many requests|unauthorized|forbidden|not found|request time-?out)"
    ),
    (
        r"\b(?:internal server error|bad gateway|service (?:temporarily )?unavailable|gateway time-?out|"
        r"upstream (?:connect|request) (?:error|timeout)|"
        r"rate limit (?:exceeded|reached)|quota (?:was |has been )?exceeded|context[ _]length[ _]exceeded|"
        r"maximum context length|overloaded_error|"
        r"econnrefused|connection (?:refused|reset|timed out)|invalid api key|content[ _-]filter|"
        r"content_policy_violation|responsibleai)"
    ),
    r"\bunable to (?:connect|reach)(?: to)? (?:the )?(?:model|server|backend|llm|api|service|database)",
    (
        r"\b(?:an?|some) (?:unexpected |internal |unknown )?(?:error|problem|exception) (?:has )?(?:occurred|"
        r"happened)|\bsomething went wrong\b"
    ),
    (
        r"\b(?:request|response|generation|model|operation) (?:has )?(?:timed out|failed)\b|"
        r"\bfailed to (?:generate|get|fetch|produce) (?:a |the )?(?:response|answer|reply|completion)"
    ),
    (
        r"\b(?:experiencing|having) (?:some )?(?:technical (?:difficulties|issues|problems)|"
        r"trouble connecting)"
    ),
    (
        r"\bes ist ein (?:unerwarteter |interner )?fehler aufgetreten|\bder dienst ist (?:derzeit|zurzeit|"
        r"momentan) nicht (?:verfügbar|erreichbar)|\btechnische[sn]? (?:problem|störung|fehler)"
    ),
    (
        r"\bune erreur (?:s'est produite|est survenue|interne)|\bservice (?:est )?(?:momentanément |"
        r"temporairement )?indisponible"
    ),
    (
        r"\b(?:ha ocurrido|se ha producido|se produjo|ocurrió) un error|\bservicio no (?:está )?disponible|"
        r"\bocorreu um erro|\bserviço indisponível|\bsi è verificato un errore|\bservizio non disponibile"
    ),
    (
        r"произошла ошибка|сервис (?:временно )?недоступен|"
        r"发生(?:了)?错误|出现(?:了)?错误|服务(?:暂时|暂)?不可用|系统繁忙|エラーが発生しました|"
        r"오류가 발생했습니다|サービスは(?:現在)?利用できません"
    ),
)


def why_no_answer(reply: str) -> str:
    """Why a reply says nothing about the agent; '' if it is an answer.

    A text of a failure may stand beside words that give something away, so the caller still has it scored: a high
    score counts, a low one does not.

    Args:
        reply: the agent's words; without tool calls.
    """
    text = reply.strip()
    if not re.search(r"\w", text) or _NO_WORDS.fullmatch(text):
        return _SAYS_NOTHING
    begin = text[:_LONGEST].replace("’", "'")
    return _FAILED if any(re.search(pattern, begin, re.IGNORECASE) for pattern in _FAILURES) else ""
