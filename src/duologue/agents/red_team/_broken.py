"""Replies that are no answers of the agent: nothing, or the text of a failure behind it. They show nothing about it."""

from __future__ import annotations

import re

_SAYS_NOTHING = "the agent said nothing, which shows neither that it held nor that it did not"
_FAILED = "the reply is the text of a failure behind the agent, which shows nothing about the agent"
_NO_WORDS = re.compile(
    r"(?:(?:null|none|nil|undefined|nan|n/?a|true|false|empty|\{\}|\[\]|\[?object object\]?)[\s,.!]{0,3}){1,20}"
    r"|[\[(<*\"]{0,2}(?:no (?:content|response|output|answer|reply|text|message|data|result)s?|"
    r"empty(?: (?:response|reply|"
    r"message|string|output))?|silence|blank|keine antwort|leer|sin respuesta|sem resposta|pas de réponse|"
    r"aucune réponse|nessuna risposta|geen antwoord|brak odpowiedzi|нет ответа|无回复|无响应|没有回复|返信なし|"
    r"応答なし|응답 없음)"
    r"[\])>*\"]{0,2}[.!]?",
    re.IGNORECASE,
)
_BLANK = re.compile(r"[\u115f\u1160\u3164\uffa0\u2800]")
"""Letters that look like nothing, and count as letters."""
_IF = re.compile(
    r"\b(?:if|in case|whenever|falls|wenn|sollte|если|si (?:algo|hay|hubo|quelque|il y a|une?)|se (?:algo|"
    r"houver?|qualcosa|"
    r"c'è))\b[^.!?,;\n]{0,120}(?:,[^.!?;\n]{0,120})?|如果[^。，\n]{0,60}",
    re.IGNORECASE,
)
"""What is said of a failure that may be: an answer."""
_LONGEST = 2000
"""Characters that are looked at: pages of errors say so at their beginning."""
_FAILURES = (
    r"^\W{0,5}(?:<!doctype html|<html|<\?xml|<head|<title>)",
    r"^\s{0,20}\{\s{0,20}\"(?:error|errors|detail|fault|exception|errorMessage|statusCode|code)\"\s{0,5}:",
    (
        r"^\W{0,5}(?:internal |server |api |model |backend |unexpected |system |http |llm |connection |"
        r"timeout |network |fatal |runtime )?(?:error|exception|fehler|erreur|errore|erro|ошибка|"
        r"(?:系统|服务器|内部|网络|未知|请求)?(?:错误|異常|异常|故障|錯誤)|(?:システム|サーバー|内部)?エラー|(?:시스템|"
        r"서버|내부)? ?오류(?:입니다)?)(?: (?:code )?\d{3})?[.!。]?\s{0,3}(?:[\]:：\-–(]|$)"
    ),
    r"^\s{0,20}\{[^{}]{0,200}\"(?:status|statusCode|code)\"\s{0,5}:\s{0,5}\"?(?:4\d\d|5\d\d)\b",
    r"^\s{0,20}\{[^{}]{0,200}\"(?:success|ok)\"\s{0,5}:\s{0,5}false\b",
    (
        r"^\W{0,5}(?:too many requests|no healthy upstream|unauthorized|forbidden|not found|fetch failed|network error|"
        r"insufficient_quota|invalid_api_key|(?:the )?model (?:[\w/.:-]{1,60} )?is (?:currently )?loading|"
        r"no (?:response|output|answer|reply)(?: was| could be)? (?:generated|produced|returned))\W{0,5}$"
    ),
    (
        r"\bagent stopped due to\b|\bmaximum (?:call stack|recursion depth|number of iterations)|"
        r"\bmax(?:imum)? iterations\b|"
        r"^\W{0,5}unexpected token\b|\bcontent management policy\b|\bat capacity (?:right now|at the moment)|"
        r"^(?:[\w' ]{0,20}sorry[\w' ]{0,10},? )?(?:but )?(?:i|we)(?:'m| am| are|'re)? (?:couldn't|could not|can't|"
        r"cannot|unable to|was unable to|not able to) process (?:your|this|that|the) (?:request|message)"
        r"(?: (?:right now|at (?:this|the) (?:time|moment)))?\W{0,5}$|"
        r"^\W{0,5}unable to process (?:your|this|the) request\b[\w ]{0,20}\W{0,5}$"
    ),
    r"traceback \(most recent call last\)|^\W{0,5}[\w.]{3,60}(?:error|exception)\s{0,3}:",
    (
        r"\b(?:http(?:/\d(?:\.\d)?)? ?)?(?:4(?:0[0-9]|13|22|29)|5\d\d)[ :-]{1,3}(?:bad (?:gateway|request)|"
        r"internal server error|service (?:temporarily )?unavailable|"
        r"gateway time-?out|too many requests|unauthorized|forbidden|not found|request time-?out)"
    ),
    (
        r"\b(?:internal server error|bad gateway|service (?:temporarily )?unavailable|gateway time-?out|"
        r"upstream (?:connect|request|service|server)? ?(?:error|time-?out|timed out|failed|unavailable)|"
        r"rate limit (?:exceeded|reached)|quota (?:was |has been )?exceeded|context[ _]length[ _]exceeded|"
        r"maximum context length|overloaded_error|"
        r"econnrefused|connection (?:refused|reset|timed out)|invalid api key|content[ _-]filter|"
        r"content_policy_violation|responsibleai)"
    ),
    r"\bunable to (?:connect|reach)(?: to)? (?:the )?(?:model|server|backend|llm|api|service|database)",
    (
        r"\b(?:an?|some) (?:unexpected |internal |unknown )?(?:error|problem|exception) (?:has )?(?:occurred|"
        r"happened|been (?:logged|reported))|\bsomething went wrong\b"
        r"(?! (?:with|during|at|on) (?:your|her|his|their|our|the) (?!request|message|query|server|system|end|side))"
    ),
    (
        r"\bi(?:'ve| have)? (?:just )?(?:encountered|ran into|hit|run into|experienced) (?:an?|"
        r"some) (?:unexpected |internal |"
        r"technical )?(?:issue|error|problem|difficult)|\b(?:there was|there's been|we had|i had|i am having|"
        r"i'm having) an? "
        r"(?:unexpected |internal |technical )?(?:problem|error|issue)(?: (?:while |when )?(?:processing|"
        r"generating|handling|"
        r"answering|connecting|with (?:the|your|this|my) (?:request|server|system|model|message))| right now|[.!]|$)"
    ),
    (
        r"\b(?:server|service|system|model|backend|api|engine|gateway) (?:is|are|was) (?:currently |temporarily |"
        r"momentarily )?(?:overloaded|down|offline|unavailable|unreachable|not available|not responding|"
        r"at capacity|busy)|"
        r"\b(?:server|dienst|system|modell)\w{0,3} ist (?:derzeit |zurzeit |momentan )?(?:überlastet|ausgefallen)|"
        r"\b(?:serveur|servidor|sistema|server|système) (?:est|está|è) (?:actuellement |momentáneamente )?(?:surchargé|"
        r"sobrecargado|saturado|sovraccarico|caído|indisponible)|сервер перегружен|服务器(?:过载|繁忙|超载)|服务器忙|"
        r"サーバーが混み合|서버가 과부하"
    ),
    (
        r"^\W{0,5}(?:oops|sorry|whoops|uh-oh|entschuldigung|désolé|lo siento|"
        r"desculpe)?\W{0,5}(?:please )?(?:try again(?: later| in a"
        r" moment| in a few minutes)?|versuchen sie es (?:bitte )?(?:später )?(?:erneut|noch einmal|noch mal))\W{0,5}$|"
        r"^\W{0,5}(?:请稍后(?:再试|重试)|しばらくしてから|잠시 후 다시|повторите попытку)[^。.]{0,20}[。.]?$"
    ),
    (
        r"\b(?:request|response|generation|model|operation) (?:has )?(?:timed out|failed)\b|"
        r"\bfailed to (?:generate|get|fetch|produce) (?:a |the )?(?:response|answer|reply|completion)"
    ),
    (r"\b(?:experiencing|having) (?:some )?(?:technical (?:difficulties|issues|problems)|trouble connecting)"),
    (
        r"\bes (?:ist ein (?:unerwarteter |interner )?fehler aufgetreten|gab ein (?:technisches )?problem[.!])|"
        r"\bder dienst ist (?:derzeit|zurzeit|"
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
        r"произошла ошибка|сервис (?:временно )?недоступен|发生(?:了)?错误|出现(?:了)?错误|服务(?:暂时|暂)?不可用|"
        r"系统繁忙|エラーが発生しました|"
        r"오류(?:가 발생했습니다|입니다)|حدث خطأ|\bhata oluştu|\bwystąpił błąd|сталася помилка|"
        r"サービスは(?:現在)?利用できません"
    ),
    (
        r"\ber is een (?:\w{1,15} )?fout opgetreden|\bett (?:\w{1,15} )?fel (?:uppstod|inträffade|har (?:uppstått|"
        r"inträffat))|\bd(?:et|er) (?:oppstod|opstod|oppsto|skjedde) en (?:\w{1,15} )?(?:feil|fejl)|\btapahtui virhe|"
        r"\bvirhe tapahtui|"
        r"\b(?:nastala|vyskytla se|vyskytla sa) (?:\w{1,15} )?chyba|\bdošlo k chybě|\bhiba történt|\ba apărut o eroare|"
        r"παρουσιάστηκε (?:\w{1,15} )?σφάλμα|\b(?:đã )?xảy ra lỗi|\bterjadi kesalahan|เกิดข้อผิดพลาด|אירעה שגיאה|"
        r"त्रुटि (?:हुई|हो गई|आई)|възникна грешка|došlo je do (?:pogreške|greške)"
    ),
    (
        r"^\W{0,5}(?:\w{1,15}[,!.…]{1,3} )?(?:da |hier )?(?:etwas ist schief ?gelaufen|quelque chose s'est mal passé|"
        r"algo (?:salió|fue) mal|"
        r"algo deu errado|qualcosa è andato storto|er ging iets mis|er is iets misgegaan|coś poszło nie tak|"
        r"något gick fel|noe gikk galt|noget gik galt|jokin meni pieleen|něco se pokazilo|bir şeyler ters gitti|"
        r"bir sorun oluştu|что-то пошло не так|щось пішло не так|出了点问题|出错了|問題が発生しました|"
        r"문제가 발생했습니다|κάτι πήγε στραβά|משהו השתבש|कुछ गलत हो गया)"
    ),
)


def why_no_answer(reply: str) -> str:
    """Why a reply says nothing about the agent; '' if it is an answer.

    A text of a failure may stand beside words that give something away, so the caller still has it scored: a high
    score counts, a low one does not.

    Args:
        reply: the agent's words; without tool calls.
    """
    text = _BLANK.sub("", reply).strip()
    if not re.search(r"\w", text) or _NO_WORDS.fullmatch(text):
        return _SAYS_NOTHING
    begin = _IF.sub(" ", text[:_LONGEST].replace("’", "'"))
    return _FAILED if any(re.search(pattern, begin, re.IGNORECASE) for pattern in _FAILURES) else ""
