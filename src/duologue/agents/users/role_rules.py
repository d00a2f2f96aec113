"""The ways in which a model falls out of the part of a user, as a table: a name, a complaint, patterns.

All repetitions are bounded, so that a long answer takes no longer than its length. Patterns ignore case, and see texts
in the normal form NFKC, with straight apostrophes, without code and without quoted lines.
"""

from __future__ import annotations

import re

from duologue.config.patterns import late
from duologue.frozen import frozen

AGENT = (
    "agent|assistant|ai|ai assistant|virtual assistant|bot|chatbot|system|support|support agent|customer service|"
    "customer support|representative|rep|operator|model|chatgpt|gpt|"
    "assistent|assistentin|agentin|mitarbeiter|mitarbeiterin|berater|beraterin|kundendienst|kundenservice|ki|"
    "assistante|agente|conseiller|conseillère|opérateur|opératrice|service client|ia|"
    "asistente|asistente virtual|operador|operadora|soporte|servicio al cliente|atención al cliente|"
    "assistente|assistente virtual|atendente|suporte|operatore|operatrice|supporto|"
    "medewerker|asystent|asystentka|konsultant|konsultantka|asistan|temsilci|avustaja|asiakaspalvelu|kundtjänst|"
    "ассистент|помощник|агент|оператор|поддержка|бот|асистент|помічник|підтримка|"
    "助手|助理|客服|代理|智能助手|人工智能|系统|アシスタント|エージェント|オペレーター|担当者|ボット|어시스턴트|상담원|"
    "에이전트|도우미|المساعد|مساعد|الوكيل|الموظف|सहायक|एजेंट"
)
USER = (
    "user|customer|caller|client|me|person|human|guest|visitor|buyer|simulated user|"
    "nutzer|nutzerin|benutzer|benutzerin|kunde|kundin|anrufer|anruferin|ich|gast|"
    "utilisateur|utilisatrice|cliente|moi|appelant|usuario|usuaria|yo|usuário|usuária|utilizador|eu|"
    "utente|io|gebruiker|klant|użytkownik|klient|klientka|kullanıcı|müşteri|käyttäjä|asiakas|användare|kund|"
    "пользователь|клиент|клиентка|я|користувач|клієнт|用户|顾客|客户|我|ユーザー|顧客|お客様|私|"
    "사용자|고객|나|المستخدم|العميل|उपयोगकर्ता|ग्राहक"
)
WEAK = late(r"(?:model|system|support|operator|bot|ki|ia|ai|支持|系统|代理|担当者)$", re.IGNORECASE)
"""Labels that may also name a detail or somebody who is called, as in "Model: XPS 13" and "Operator: a human, "
"please"."""
SERVES = late(
    r"\b(?:you|your|we|we're|we've|let me|i can|i'll|how can|sie|ihnen|ihre?n?|vous|votre|usted|su|você|lei|wij|"
    r"u)\b|您|你|あなた",
    re.IGNORECASE,
)
"""How somebody speaks who serves a person: behind such a label, the words of the agent."""
DETAIL = late(
    r"customer|caller|client|person|human|guest|visitor|buyer|kunde|kundin|anrufer|anruferin|gast|cliente|appelant|"
    r"klant|klient|klientka|müşteri|asiakas|kund|клиент|клиентка|клієнт",
    re.IGNORECASE,
)
"""Labels of the person that may also name a detail, as in "Customer: Acme Corp"."""
GREETINGS = frozenset(
    "hi hello hey yes no ok okay thanks thank sorry good please hallo guten ja nein danke bonjour salut oui non "
    "merci hola "
    "buenos buenas sí no gracias olá oi bom boa sim não obrigado obrigada ciao buongiorno salve sì grazie hoi nee dank "
    "cześć tak nie hej nej tack привет здравствуйте да нет спасибо".split()
)
SAYS = late(
    r"\b(?:i|i'm|i'd|i've|my|me|is|are|was|want|need|have|where|when|what|how|can|could|please|ich|mein\w{0,2}|"
    r"ist|habe|"
    r"je|mon|ma|est|suis|yo|mi|mis|es|quiero|eu|meu|minha|é|io|mio|mia|è|ik|mijn|мой|моя|у меня)\b",
    re.IGNORECASE,
)
"""Words of a sentence, which no name with a number has."""
COLON = r"(?:[ \t]?\d{1,2})?(?:[ \t]?\([^()\n]{1,30}\))?[ \t]{0,3}[*_\])\"'>】]{0,3}[ \t]{0,3}[:：]"
BEFORE = r"[ \t]{0,8}[*_#\[(\"'<【]{0,4}[ \t]{0,3}"
INLINE = late(r"(?<=\s)(?:Agent|Assistant|Bot|Support|AI|User|Customer|Human): ")
"""Labels in the middle of a line, with a capital letter; one alone may be a detail."""
SENTENCE = r"(?:(?<=[.!?。])[\"')*]{0,2}[ \t]{0,3})"

THOUGHT_TAG = "think|thinking|thought|thoughts|reasoning|scratchpad|inner_monologue|seed:think"
_THOUGHTS = (
    rf"</?(?:{THOUGHT_TAG})(?:\s[^<>\n]{{0,60}})?>",
    r"\[/?think(?:ing)?\]|◁/?think▷",
    (
        r"(?m)^[ \t]{0,8}[*_(\[]{0,3}(?:thoughts?|thinking|inner thoughts?|internal (?:thoughts?|monologue)|"
        r"private thoughts?|chain of thought|(?:my )?reasoning|gedanken?|überlegung|pensées?|réflexion|pensamientos?|"
        r"razonamiento|pensamentos?|raciocínio|pensiero|мысли)[*_]{0,2}[ \t]{0,3}:[ \t]{0,3}(?:(?:i|ich|je|yo|"
        r"eu|io|я) )?(?:(?:should|must|need to|have to|will|am playing|play|(?:sollte|muss|soll|werde|spiele)|(?:dois|"
        r"devrais|vais)|(?:debo|debería|voy a|tengo que)|(?:devo|deveria|vou|preciso)|dovrei|должен|должна)\b|"
        r"(?:the|my|der|die|le|la|el|o|a|il) (?:agent|assistant|user|customer|goal|persona|nutzer|kunde|ziel|"
        r"utilisateur|"
        r"usuario|usuário|utente|agente|objetivo)\b|(?:they|he|she) (?:ask|want)s?\b|okay,? (?:so )?(?:the|i)\b)"
        r"|^[ \t]{0,8}(?:思考|考え)[ \t]{0,3}:"
    ),
)
_TEMPLATE = (
    r"<\|[^<>|\n]{1,40}\|>",
    (
        r"^\s{0,20}\[INST\]|\[/INST\]|<</?SYS>>|</?(?:bos|eos|pad|unk|start_of_turn|end_of_turn|begin_of_text|"
        r"end_of_text|eot_id|endoftext)>"
    ),
    r"^\s{0,20}<s>(?!\s{0,20}$)|</s>\s{0,20}$",
    r"</(?:user|assistant|system|customer|human|agent)(?:_(?:message|turn|response))?>",
    r"(?m)^[ \t]{0,8}<(?:user|assistant|system|customer|human|agent)(?:_(?:message|turn|response))?>",
    (r"(?m)^[ \t]{0,8}#{1,4}[ \t]{0,3}(?:instruction|input|response|output|human|user|assistant|system)[ \t]{0,3}:"),
)
_STOP = (
    r"(?-i:(?<!#)#{2,6}[ ]?[A-Z][A-Z_ -]{1,30}#{2,6})",
    (
        r"(?-i:[\[<({*]{1,2}(?:STOP|END|DONE|EXIT|TERMINATE|EOS|EOF|END_OF_\w{3,20}|"
        r"END OF [A-Z ]{3,20})[\]>)}*]{1,2}(?=[.!]?\s{0,5}(?:$|\n)))"
    ),
    (
        r"(?-i:(?:^|[.!?\n])[ \t]{0,5}(?:TERMINATE|END_CONVERSATION|END_OF_CONVERSATION|"
        r"STOP_CONVERSATION)[.!]?\s{0,5}$)"
    ),
    (
        r"[\[(*<-]{1,3}[ ]?(?:the )?(?:conversation|chat|call|dialogue|simulation|roleplay)(?: is| has)? "
        r"(?:ends?|ended|over|finished|complete[d]?|terminated)[ ]?[\])*>-]{1,3}"
    ),
    (
        r"[\[(*]{1,2}(?:end of (?:the )?(?:conversation|chat|call|dialogue|simulation)|ende des gesprächs|fin de la "
        r"conversaci[óo]n|fin de la conversation|fim da conversa|fine della conversazione|对话结束|会話終了|"
        r"대화 종료)[\])*]{1,2}"
    ),
)
_STOP_ALONE = (*(rf"(?m)(?:^|[.!?])[ \t]{{0,5}}(?:{mark})[ \t.!]{{0,5}}$" for mark in _STOP), _STOP[2])
"""As a line or a sentence of its own."""

_DOES = (
    r"sighs?|pauses?|laughs?|chuckles?|coughs?|smiles?|frowns?|nods?|shrugs?|groans?|gasps?|sobs?|cries|"
    r"hesitates?|grins?|"
    r"winks?|yawns?|giggles?|mutters?|whispers?|sniffs?|snorts?|smirks?|clears? (?:his |her |their |my )?throat|"
    r"rolls? (?:his |her |their |my )?eyes|shakes? (?:his |her |their |my )?head|takes? a (?:deep )?breath|"
    r"looks (?:up|down|away|at|around|confused|annoyed)|hangs? up|hung up|types|walks away|leaves the chat|"
    r"scratches (?:his|her|their) head|raises (?:an|his|her|their) (?:eyebrow|voice)|crosses (?:his|her|their) arms|"
    r"seufzt|lacht|pausiert|räuspert sich|nickt|lächelt|schweigt|hustet|legt auf|überlegt|zögert|stöhnt|"
    r"soupire|rit|sourit|hoche la tête|raccroche|hésite|tousse|suspira|ríe|se ríe|sonríe|asiente|cuelga|duda|"
    r"sorri|acena com a cabeça|desliga|hesita|sospira|ride|sorride|annuisce|esita|zucht|knikt|glimlacht|aarzelt|"
    r"wzdycha|śmieje się|kiwa głową|вздыхает|смеётся|смеется|улыбается|кивает|молчит|"
    r"叹气|叹了口气|停顿|沉默|点头|皱眉|挂断|ため息をつく|ため息|沈黙|うなずく|한숨|침묵|고개를 끄덕"
)
_DOING = (
    r"sighing|pausing|laughing|chuckling|coughing|smiling|frowning|nodding|shrugging|groaning|hesitating|"
    r"grinning|crying|muttering|whispering|typing|thinking|hanging up|silence|long pause|short pause|brief pause|"
    r"awkward silence|beat|"
    r"inaudible|crosstalk|background noise|no response|pause|pausa|silencio|silenzio|risas|risos|пауза|stille|rires"
)
_HOW = r"(?:(?:[a-zäöüß]{3,14}ly|a|long|short|brief|deep|heavy|tief|leise|kurz|laut|longuement|profundamente) ){0,2}"
_STAGE = (
    # On its own, as an actor does it: *sighs and looks at the phone*, (pauses), [laughs nervously].
    rf"[*_]{{1,2}}{_HOW}(?:{_DOES})(?:[ ,][^*_\n]{{0,80}})?[*_]{{1,2}}(?!\w)",
    (
        rf"[(\[{{【]{_HOW}(?:{_DOES})(?:,? (?:\w{{3,14}}ly|(?:and|to|for|with|into|"
        rf"at) [^()\[\]\n.!?\d]{{1,30}}))?[)\]}}】]"
    ),
    rf"(?m)(?:^|(?<=[.!?]))[ \t]{{0,5}}[*_(\[]{{1,2}}{_HOW}(?:{_DOING})[*_)\]]{{1,2}}",
    r"\*[(\[][^\W\d][^\n*()\[\]]{1,60}[)\]]\*",
    (
        r"(?m)^[ \t]{0,5}[(\[*]{1,2}(?:the )?(?:user|customer|caller|persona) (?:is|feels|seems|looks|waits|wants|"
        r"sounds)\b[^\n]{0,200}[)\]*]"
    ),
)

_SIMULATED = (
    (
        r"\bas an? simulated (?:user|customer|caller|client|person)\b|\bals simulierte[rn]? (?:nutzer|benutzer|kund|"
        r"anrufer)"
    ),
    (
        r"\ben tant qu'(?:utilisateur|client) simulé|\b(?:como|come) (?:usuario|usuário|utilizador|cliente|"
        r"utente) simula[dt]o"
    ),
    r"作为模拟用户|シミュレートされたユーザーとして|시뮬레이션(?:된)? 사용자로서|как (?:симулир|имитир)",
)
_META = (
    (
        r"\bsimulated (?:user|customer|caller|client|person)\b|\b(?:as|being) (?:a|the) user simulat(?:or|"
        r"ion)\b|\bsimulating (?:a|the) (?:user|customer)\b"
    ),
    (
        r"\b(?:i am|i'm|i will|i'll|i should|i need to|i must|let me)(?: now| be)? "
        r"(?:play(?:ing)?|act(?:ing)? as|simulat(?:e|ing)|role-?play(?:ing)?(?: as)?|pretend(?:ing)? to be)"
        r" (?:the (?:role|part) of (?:the|a|an) (?:[a-z]{2,15} ){0,2}(?:user|customer|caller|client|person|persona)|"
        r"(?:the (?:user|customer|person|caller)|a (?:user|customer|caller|persona)|as (?:a|the) (?:user|customer)))\b"
        r"(?! (?:contact|service|manager|support|representative|'s))"
    ),
    (
        r"\bi play (?:the (?:user|customer|caller|person)|(?:the (?:role|part) of )?an? (?:user|customer|"
        r"caller))\b(?! in the)"
    ),
    (
        r"\bin this (?:role-?play|simulated (?:conversation|call|chat)|(?:simulation|test (?:scenario|"
        r"conversation|case)),? (?:i|the (?:user|customer))\b)"
    ),
    (
        r"\b(?:stay(?:ing)?|remain(?:ing)?|keep(?:ing)?|be(?:ing)?|break(?:ing)?|"
        r"out of) (?:in )?character\b(?! (?:set|limit|count|encoding|string|code))"
    ),
    (
        r"\b(?:according to|based on|following|given|per) (?:my (?:persona|brief|character|role description|"
        r"system prompt)|the (?:system prompt|goal above|role description))\b(?! i should have)"
    ),
    (
        r"\bthe (?:simulated )?(?:user|customer|persona|character)(?:'s)? (?:would|should|might|could|will|"
        r"wants to|needs to) "
        r"(?:now |then |likely |probably )?(?:say|ask|respond|reply|answer|write)\b(?! the (?:e-?mail|mail|"
        r"letter|phone|call|form))"
    ),
    r"\b(?:respond|reply|answer|write|speak|ask)(?:ing)? as (?:the|a) (?:user|customer|caller|person)\b",
    (
        r"\bas the (?:user|customer|caller) persona\b|\bin my role as [^,.\n]{1,30}, i (?:would|will|should) (?:say|"
        r"ask|reply)\b"
    ),
    (
        r"\bthe (?:user|(?:system )?prompt|instructions?) (?:wants?|asks?|tells?|instructs?) me to (?:play|act|pretend|"
        r"respond|simulate)\b"
    ),
    (
        r"^\W{0,3}(?:(?:sure|certainly|of course|okay|ok|alright)[,!.:]? )?(?:here(?:'s| is| are)) (?:the|a|"
        r"my|what the) (?:next |possible )?(?:user|customer|person|caller)(?:'s)? (?:next )?(?:message|response|reply|"
        r"line|would)"
    ),
    (
        r"^\W{0,3}(?:(?:sure|certainly|of course)[,!.:]? )?here(?:'s| is) (?:my|the|"
        r"a)(?: possible)? (?:next )?(?:response|reply|next message|line)\b(?! to (?:question|your|the))"
    ),
    (
        r"\bmy (?:persona|character) (?:is|would|wants|has)\b|^\W{0,3}OOC\s{0,3}[:)\]]|[(\[](?:ooc|meta)\s?:|"
        r"[(\[]note\s?: (?:i|the|this) "
    ),
    (
        r"\bals simulierte[rn]? \w{3,15}|\bsimulierter? (?:nutzer|benutzer|kunde|anrufer)|"
        r"\bich spiele (?:jetzt )?(?:den|die|einen|eine) (?:nutzer|benutzer|kunden|kundin|rolle)"
        r"|\bin diesem rollenspiel\b|\brolle des (?:nutzers|kunden)\b"
    ),
    r"\b(?:utilisateur|client) simulé|\bje joue le rôle|\bdans ce jeu de rôle\b",
    (
        r"\b(?:usuario|cliente) simulado|\b(?:usuário|utilizador|cliente) simulado|\butente simulato|"
        r"\bgesimuleerde (?:gebruiker|klant)"
        r"|\b(?:estoy interpretando|hago el papel|faço o papel|interpreto il ruolo)\b|\ben este juego de rol\b"
    ),
    r"\b(?:симулир|имитир)\w{2,8} (?:пользовател|клиент)|\bя играю роль|\bsymulowan\w{1,3} (?:użytkownik|klient)",
    (
        r"模拟用户|模拟的用户|扮演(?:用户|顾客|客户)|シミュレートされたユーザー|ユーザー役|ロールプレイ|"
        r"시뮬레이션(?:된)? 사용자|역할극"
    ),
)
_FORM = (r"\"message\"\s{0,5}:[\s\S]{0,4000}\"done\"\s{0,5}:",)
_BLANK = (
    r"\[(?:your|my|insert|customer|user|agent)(?:'s)?[ _][a-z_ ]{2,25}\]",
    (
        r"\b(?:is|at|on|am|called) \[(?:first |last |full )?(?:name|date|address|e-?mail|phone|(?:order|account|"
        r"phone) \w{2,8})\]"
    ),
)

_AI = (
    (
        r"\bas an? (?:(?:ai|artificial intelligence)(?: (?:language )?(?:model|assistant|system|chatbot))?|"
        r"(?:large )?language model|virtual assistant)(?=\s{0,3}[,.;:!?]| i\b|\s{0,3}$| (?:language )?model)"
        r"(?!(?: (?:language )?model)?,? (?:you|can you|could you|do you|are you|will you|would you|"
        r"have you|what do you|how do you|should you)\b)"
    ),
    (
        r"\b(?:i am|i'm) (?:just |only )?(?:an ai(?! \w)|an ai (?:language )?(?:model|assistant|chatbot|"
        r"system)|a (?:large )?language model|"
        r"your (?:virtual |digital )?assistant|a virtual assistant(?! (?:working|for|at|from|hired|employed|by|"
        r"and)|\. i work))\b"
    ),
    (
        r"\bals (?:eine? )?(?:ki|künstliche intelligenz|sprachmodell|ki-\w{3,20})\b(?=\s?[,.]| (?:kann|bin|"
        r"habe|darf|ist))|\bich bin (?:nur )?(?:eine ki|ein sprachmodell|ein ki-)"
    ),
    (
        r"\ben tant qu(?:'ia|e modèle de langage|'assistant virtuel|'intelligence artificielle)\b|"
        r"\bje suis une (?:ia|intelligence artificielle)\b"
    ),
    (
        r"\bcomo (?:una? )?(?:ia|inteligencia artificial|inteligência artificial|modelo de (?:lenguaje|"
        r"linguagem))\b|\bsoy una (?:ia|inteligencia)|\bsou uma (?:ia|inteligência)"
    ),
    (
        r"\b(?:in quanto|come) (?:ia|intelligenza artificiale|modello linguistico)\b|\bjako (?:ai|"
        r"model językowy|sztuczna inteligencja)\b|\bals (?:ai|taalmodel)\b"
    ),
    (r"\b(?:как|я|будучи) (?:всего лишь )?(?:ии|языков\w{2} модел\w{1,2}|искусственн\w{2} интеллект\w{0,2})\b"),
    (
        r"作为(?:一个|一名|一款)?(?:ai|人工智能|语言模型|大型语言模型)|(?:ai|言語モデル|"
        r"人工知能)(?:アシスタント)?として|(?:ai|인공지능|언어 모델)로서"
    ),
    r"كنموذج لغوي|كذكاء اصطناعي",
)
_REFUSES = (
    (
        r"^\W{0,3}(?:(?:oh|hi|hello)[,.!]? )?(?:i'm|i am|we're|we are)? ?(?:really |very |so |"
        r"truly )?(?:sorry|afraid|apologi[sz]e|i apologi[sz]e|unfortunately)"
        r"[^.!?\n]{0,30}\b(?:can't|cannot|can not|unable to|not able to|won't|will not|"
        r"must decline to)(?: be able to)? "
        r"(?:directly )?(?:help|assist(?! (?:at|to the)\b)|comply(?! with (?:the|your) (?:new|terms))|fulfil|"
        r"fulfill|engage|participate|role-?play|do that(?=\s{0,2}[.!]?\s{0,3}$)|create|"
        r"generate|continue (?:with )?(?:this|the) (?:conversation|role)(?!; i| now|, i))"
    ),
    (
        r"^\W{0,3}i (?:can't|cannot|can not|won't|will not|am unable to|am not able to|'m unable to|"
        r"'m not able to)(?: \w{4,10}ly)? "
        r"(?:help with (?:that|this)|assist(?! (?:at|to the)\b)|comply(?: with (?:that|this|your request|"
        r"the request)|(?=\s{0,3}[.!]?\s{0,3}$))|"
        r"fulfil|(?:engage|participate) in (?:this|that|such|role|the (?:role|conversation))|role-?play)"
    ),
    (
        r"^\W{0,3}(?:es )?tut mir (?:sehr )?leid,? (?:aber )?(?:dabei|damit|da|"
        r"bei dieser anfrage)[^.!?\n]{0,20}nicht (?:weiter)?helfen"
    ),
    (r"^\W{0,3}(?:je suis )?désolée?,? (?:mais )?je ne peux pas (?:vous |t')?(?:aider|répondre à cette|participer)"),
    (
        r"^\W{0,3}lo siento,? (?:pero )?no puedo (?:ayudar|asistir|cumplir|participar)|^\W{0,3}(?:desculpe|"
        r"lamento),? (?:mas )?não posso (?:ajudar|auxiliar|participar)"
    ),
    (
        r"^\W{0,3}mi dispiace,? (?:ma )?non posso (?:aiutar|assister|partecipare)|^\W{0,3}(?:het spijt me|"
        r"sorry),? (?:maar )?(?:ik kan )?[^.!?\n]{0,20}niet (?:mee )?helpen"
    ),
    (
        r"^\W{0,3}przepraszam,? (?:ale )?nie mogę (?:w tym )?pomóc|^\W{0,3}(?:извините|"
        r"простите),? (?:но )?я не могу (?:вам )?(?:с этим |в этом )?помочь"
    ),
    (
        r"^\W{0,3}(?:很)?抱歉[,, ]{0,2}(?:但)?我(?:无法|不能)(?:协助|帮助|提供|满足|回答)|^\W{0,3}申し訳(?:ありません|"
        r"ございません)[^。\n]{0,15}(?:お手伝い|対応|お答え)[^。\n]{0,4}(?:でき|いたしかね)"
    ),
    (r"^\W{0,3}죄송(?:하지만|합니다)[^.\n]{0,15}(?:도와|도움)[^.\n]{0,10}(?:없|어렵)"),
)
OFFERS = (
    (
        r"\bhow (?:can|may|could|might) (?:i|we) (?:help|assist|be of (?:help|service|assistance))\b"
        r"(?! (?:you )?(?:to )?(?:find|speed|solve|fix|trace|locate|with the|the)\b)"
    ),
    (
        r"\b(?:can|may|could) (?:i|we) (?:help|assist) you with (?:anything|something|today|that)\b(?! to)|"
        r"\bwhat can (?:i|we) (?:do for you|help you with)\b(?! to\b)"
    ),
    (
        r"\banything else (?:that )?(?:i|we) can (?:help|assist|do)\b|\bhappy to (?:help|assist) you\b|"
        r"\bglad to (?:help|assist) you\b"
    ),
    (
        r"\bthank you for (?:contacting|choosing) (?!me\b|an? )|\bthank you for (?:calling|reaching out)(?! (?:me|"
        r"back|us back|to me)\b|! i )"
    ),
    (
        r"\b(?:provide|give|tell|share|send|get|have|confirm|need)(?: me)?(?: with)? your (?:order|account|"
        r"booking|customer|reservation|tracking|policy|membership|flight)"
        r" (?:number|id|reference|code|details)\b(?!,? i (?:said|told)|\W{1,3}(?:he|she|they|was)\b| so (?:that )?i\b)"
    ),
    (
        r"\bi (?:can|will|'ll|would be able to) (?:certainly |gladly |happily )?(?:help|assist) you (?:with|"
        r"find|book|today)\b(?! it:)"
    ),
    (
        r"\b(?:let me|i'll|i will|allow me to) (?:just )?(?:check|look up|look into|pull up|find|process|"
        r"arrange|cancel|book|transfer) (?:that|this|it|your \w{2,15})(?: \w{1,12}){0,2} for you\b(?!:)"
    ),
    (
        r"\bi(?:'ve| have) (?:now |just )?(?:processed|issued|refunded|cancell?ed|booked|located|updated|"
        r"forwarded) your\b(?![^.!?\n]{0,80}\b(?:but|would like|want|wish|cannot|can't|yet)\b)"
    ),
    (
        r"\b(?:wie|womit|inwiefern) kann ich (?:ihnen|dir|euch)[^.!?\n]{0,25}(?:helfen|behilflich)|"
        r"\bwie kann ich (?:heute )?helfen\b|\bwas kann ich (?:heute )?für (?:sie|dich|euch) tun\b|"
        r"\bkann ich (?:ihnen|dir) sonst noch\b"
    ),
    (
        r"\bcomment puis-je (?:vous|t')[^.!?\n]{0,15}(?:aider|assister)(?! à)|\bque puis-je faire pour (?:vous|"
        r"toi)\b|\ben quoi puis-je\b|\bpuis-je vous aider\b|\bcomment (?:est-ce que )?je peux vous aider\b"
    ),
    (
        r"\b(?:cómo|como|en qué|en que) (?:le |te |les |os )?puedo (?:ayudar|asistir|servir)|\b(?:como|"
        r"em que|no que) (?:eu )?posso (?:te |lhe |o |a )?(?:ajudar|auxiliar)"
    ),
    (
        r"\b(?:come|in cosa|in che modo) posso (?:aiutar|assister|esser)|\b(?:hoe|waarmee|waar) kan ik (?:u|"
        r"je|jou|jullie)[^.!?\n]{0,15}(?:helpen|mee helpen|van dienst)"
    ),
    (
        r"\b(?:jak|w czym) (?:mogę|możemy) (?:\w{1,10} )?pomóc|\b(?:hur|vad) kan jag hjälpa|\b(?:hvordan|hva|"
        r"hvad) kan jeg (?:hjælpe|hjelpe)|\b(?:kuinka|miten) voin (?:auttaa|olla)"
    ),
    (
        r"\bnasıl yardımcı olabilir|\b(?:чем|как) (?:я )?(?:могу|можу) (?:я )?(?:вам |тебе )?(?:помочь|"
        r"быть полез|допомогти)|\b(?:чим|як) (?:я )?можу (?:вам )?допомогти"
    ),
    (
        r"有什么(?:我)?(?:能|可以)(?:帮|为|協)|我(?:能|可以)(?:怎么|如何|为您|幫|帮)(?:帮|您|你)|请问有什么|"
        r"很高兴为您服务|还有什么可以帮"
    ),
    (
        r"お手伝い(?:できることは|いたしま|しましょう)|どのようなご用件|いかがなさいました|(?:무엇을|어떻게|"
        r"무엇이든) 도와 ?드릴|도와 ?드릴까요"
    ),
    (
        r"\b(?:jak|s čím|čím|ako) (?:vám|ti) (?:mohu|můžu|môžem) (?:dnes )?(?:pomoc|pomôcť)|\b(?:cu ce|cum) (?:vă|"
        r"te) pot ajuta|\b(?:miben|hogyan) (?:segíthetek|tudok segíteni)|πώς μπορώ να (?:σας|σε) (?:βοηθ|εξυπηρετ)|"
        r"(?:איך|במה|כיצד) (?:אני )?(?:אוכל|יכולה?) לעזור|มีอะไรให้(?:ฉัน|ดิฉัน|ผม|เรา)?ช่วย"
    ),
    (
        r"كيف (?:يمكنني|أستطيع|بإمكاني|أقدر) (?:مساعدت|أن أساعد|خدمت)|आपकी (?:कैसे|क्या) (?:मदद|सहायता)|"
        r"\bada yang bisa (?:saya )?bantu|\btôi có thể giúp gì"
    ),
)
HELPER = late(
    r"volunt|\bdonat|help(?:ing)? out|\bcharit|food bank|shelter|contribut|freiwillig|ehrenamt|spende|bénévol|"
    r"voluntari|beneficen|волонт|志愿|ボランティア|자원봉사",
    re.IGNORECASE,
)
WANTS = late(
    r"\bshould i\b|\bdo you need\b|\b(?:i|we)(?:'d| would) like"
    r"|\b(?:i|we) (?:want|need|have|ordered|bought|booked|paid|got|am trying|was|can't|cannot)\b"
    r"|\bmy\b|\bi saw\b|\bi heard\b|\bi (?:am|'m) (?:calling|writing|looking|interested)",
    re.IGNORECASE,
)
"""How a user speaks of what it wants: beside that, "How can I help?" is no role that was lost."""
POLITE = late(r"sorry|apologi|understand|happy to|glad to|pleasure|my name is|assist", re.IGNORECASE)


@frozen
class Rule:
    """One way in which a line is not a user's.

    Attributes:
        name: of the rule.
        complaint: what the model is told.
        patterns: any of them breaks it.
        certain: those that no person writes. A line that breaks only the others twice is said all the same.
    """

    name: str
    complaint: str
    patterns: tuple[str, ...]
    certain: tuple[str, ...] = ()


RULES = (
    Rule(
        name="thoughts",
        complaint="it holds private thoughts; write only what the person says aloud",
        patterns=_THOUGHTS,
        certain=_THOUGHTS,
    ),
    Rule(
        name="template",
        complaint="it holds marks of a chat format, such as <|im_end|>; write only the person's words",
        patterns=_TEMPLATE,
        certain=_TEMPLATE,
    ),
    Rule(
        name="stop",
        complaint='it holds a mark for the end; say it in the person\'s words, and set "done"',
        patterns=_STOP,
        certain=_STOP_ALONE,
    ),
    Rule(
        name="form",
        complaint="the JSON object stands in the middle of a text; write the object and nothing else",
        patterns=_FORM,
        certain=_FORM,
    ),
    Rule(name="stage", complaint="it holds stage directions; write only what the person says aloud", patterns=_STAGE),
    Rule(
        name="meta",
        complaint="it speaks of the role or of the instructions; stay the person",
        patterns=_META,
        certain=_SIMULATED,
    ),
    Rule(
        name="blank",
        complaint="it has a blank to be filled in; say what the person would say, or leave it out",
        patterns=_BLANK,
    ),
    Rule(
        name="ai",
        complaint="it is what the agent would say, and you are the person who talks to the agent",
        patterns=_AI,
    ),
    Rule(
        name="refusal",
        complaint="it declines to answer as an assistant does, and you are the person who asks",
        patterns=_REFUSES,
    ),
)
BOTH = "it is more than one turn of the conversation; write one message of the person, without names in front"
LABEL = "it speaks for the agent; write what the person says to the agent, without a name in front"
FLIP = RULES[7].complaint
