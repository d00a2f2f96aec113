"""Lines of a simulated user: those that are sent back to the model, and those that real people write."""

from __future__ import annotations

import json
import time

import pytest

import duologue
from duologue import Persona, UserSimulatorAgent
from duologue.agents.users.in_role import certainly_out_of_role, out_of_role, without_label, without_thoughts
from duologue.agents.users.role_rules import RULES
from duologue.errors import SimulatorError
from duologue.journal import read_journal
from duologue.models.base import ModelAnswer
from duologue.models.scripted import ScriptedModel
from duologue.testing import ScriptedAgent, ScriptedJudge, context

THOUGHTS, TEMPLATE, STOP, FORM, STAGE, META, BLANK, AI, REFUSAL = (rule.complaint for rule in RULES)
BOTH = "more than one turn"
LABEL = "it speaks for the agent"

REFUSED = [
    # both sides
    ("hi, where is my parcel?\nAgent: It is on its way.\nUser: great thanks", BOTH),
    ("Hi!\n**Assistant:** Hello, what is it?\n**User:** My parcel.", BOTH),
    ("Where is it?\nSupport: We are looking.", BOTH),
    ("hi Agent: hello. User: my parcel is late", BOTH),
    ("Wo ist mein Paket?\nAssistent: Es ist unterwegs.\nKunde: Danke", BOTH),
    ("Où est mon colis ?\nConseiller : Il arrive.\nClient : merci", BOTH),
    ("¿Dónde está?\nAgente: En camino.\nCliente: gracias", BOTH),
    ("Onde está?\nAtendente: A caminho.\nUsuário: obrigado", BOTH),
    ("荷物はどこですか\nアシスタント:発送済みです。\nユーザー:ありがとう", BOTH),
    ("我的包裹在哪里?\n客服：在路上。\n用户：谢谢", BOTH),
    ("Где посылка?\nОператор: В пути.\nКлиент: спасибо", BOTH),
    ("내 소포는 어디 있나요?\n상담원: 배송 중입니다.\n고객: 감사합니다", BOTH),
    ("Great.\nUser: And when does it come?", BOTH),
    ("Hello.\nSam Lee: my order is 48213", BOTH),
    # the agent's label
    ("Agent: How can I help you today?", LABEL),
    ("Assistant: Please give me your order number.", LABEL),
    ("Assistant: Which day suits you?", LABEL),
    ("[Assistant]: Which day suits you?", LABEL),
    ("Agent (Tom): one moment", LABEL),
    ("Assistentin: Welcher Tag passt Ihnen?", LABEL),
    ("助手：哪一天方便？", LABEL),
    ("Support: Which day suits you best this week?", LABEL),
    # thoughts
    ("<think>I am Sam. Goal: refund. I should ask about", THOUGHTS),
    ("<thinking>The agent asks for", THOUGHTS),
    ("[THINK]I should ask", THOUGHTS),
    ("◁think▷Now the customer", THOUGHTS),
    ("Hi. <reasoning>They want the number</reasoning>", THOUGHTS),
    ("Thought: I should ask for a refund.\nI want a refund.", THOUGHTS),
    ("Gedanken: Ich sollte nachfragen.", THOUGHTS),
    # chat templates
    ("<|im_start|>user\nhi, where is my parcel?<|im_end|>", TEMPLATE),
    ("ok<|eot_id|>", TEMPLATE),
    ("[INST] where is my parcel? [/INST]", TEMPLATE),
    ("<s>hello", TEMPLATE),
    ("hello</s>", TEMPLATE),
    ("<start_of_turn>user\nhello<end_of_turn>", TEMPLATE),
    ("<｜User｜>hello", TEMPLATE),
    ("<|channel|>analysis<|message|>We need", TEMPLATE),
    ("<<SYS>>You are<</SYS>> hi", TEMPLATE),
    ("### Response:\nhello", TEMPLATE),
    ("<user>hello</user>", TEMPLATE),
    # marks of the end
    ("###STOP###", STOP),
    ("Thanks! ###TRANSFER###", STOP),
    ("Thanks, bye. [END]", STOP),
    ("<DONE>", STOP),
    ("Bye. TERMINATE", STOP),
    ("Bye! [end of conversation]", STOP),
    ("(The conversation has ended)", STOP),
    # stage directions
    ("*sighs* I have been waiting for a week.", STAGE),
    ("*sighs and looks at the phone* fine", STAGE),
    ("(pauses) I am not sure.", STAGE),
    ("Well [laughs nervously] no.", STAGE),
    ("_rolls her eyes_ again?", STAGE),
    ("*clears throat* hello", STAGE),
    ("Fine. *hangs up*", STAGE),
    ("[long pause] no", STAGE),
    ("*seufzt* Schon wieder?", STAGE),
    ("(soupire) Encore ?", STAGE),
    ("*suspira* Otra vez no.", STAGE),
    ("（叹气）又来了", STAGE),
    ("*вздыхает* опять", STAGE),
    # of the role
    ("As a simulated user I will now ask about it.", META),
    ("I am playing the role of a customer who wants a refund.", META),
    ("I play the customer, so: where is it?", META),
    ("In this roleplay I want a refund", META),
    ("The user would now ask for the number.", META),
    ("Sure, here's the user's next message: where is it?", META),
    ("Here is my next message: where is it?", META),
    ("Staying in character: where is it?", META),
    ("Als simulierter Nutzer frage ich jetzt nach dem Paket.", META),
    ("En tant qu'utilisateur simulé, je demande mon colis", META),
    ("Como usuario simulado, pregunto por el paquete", META),
    ("作为模拟用户，我想问包裹", META),
    ("My name is [Your Name].", BLANK),
    ('I say: {"message": "hi", "done": false, "reason": null}', FORM),
    # an assistant
    ("As an AI language model I have no parcel", AI),
    ("I'm just an AI, I have no headphones.", AI),
    ("Als KI habe ich keine Bestellung.", AI),
    ("En tant qu'IA, je ne peux pas", AI),
    ("作为一个AI，我没有包裹", AI),
    ("I'm sorry, but I can't help with that.", REFUSAL),
    ("I’m sorry, but I can’t assist with this request.", REFUSAL),
    ("I cannot assist with that.", REFUSAL),
    ("Es tut mir leid, aber dabei kann ich Ihnen nicht helfen.", REFUSAL),
    ("Désolé, je ne peux pas vous aider.", REFUSAL),
    ("Lo siento, pero no puedo ayudar con eso.", REFUSAL),
    ("Desculpe, mas não posso ajudar com isso.", REFUSAL),
    ("抱歉，我无法提供帮助。", REFUSAL),
    ("How can I help you today?", AI),
    ("Sorry to hear that! How may I assist you with your order?", AI),
    ("I understand your frustration. How can I help you?", AI),
    ("Thank you for contacting Acme support. One moment.", AI),
    ("Could you please provide your order number?", AI),
    ("I'd be happy to assist you with the refund.", AI),
    ("Let me look up your order for you.", AI),
    ("I've processed your refund.", AI),
    ("Wie kann ich Ihnen helfen?", AI),
    ("Was kann ich heute für Sie tun?", AI),
    ("Comment puis-je vous aider ?", AI),
    ("¿En qué puedo ayudarle?", AI),
    ("¿Cómo le puedo ayudar hoy?", AI),
    ("Como posso ajudar você hoje?", AI),
    ("Come posso aiutarla?", AI),
    ("Waarmee kan ik u helpen?", AI),
    ("W czym mogę pomóc?", AI),
    ("Чем я могу вам помочь?", AI),
    ("请问有什么可以帮您？", AI),
    ("何かお手伝いできることはありますか", AI),
    ("무엇을 도와드릴까요?", AI),
    ("كيف يمكنني مساعدتك؟", AI),
    ("Dobrý den, jak vám mohu pomoci?", AI),
    ("Γεια σας, πώς μπορώ να σας βοηθήσω;", AI),
    ("שלום, איך אוכל לעזור לך?", AI),
    ("สวัสดีค่ะ มีอะไรให้ช่วยไหมคะ", AI),
    ("Jó napot, miben segíthetek?", AI),
    ("Bună ziua, cu ce vă pot ajuta?", AI),
    # other ways out of the part
    ("Reasoning: I should push back. No, I want it all.", THOUGHTS),
    ("*(voice trembling)* I lost everything.", STAGE),
    ("(The user is frustrated and wants a refund.)", STAGE),
    ("My order number is [order number].", BLANK),
]

ACCEPTED = [
    "hi, where is my parcel?",
    "The reasoning: it was late, so I want a discount.",
    "(The customer number is 4417.)",
    "The field says [date]. What goes there?",
    "The prompt asks me to type Y or N. Which one?",
    "Hi, I would like to volunteer at the food bank on Saturday. How can I help?",
    "I saw your post about the shelter. How can we help?",
    "I want to donate blankets, how can I help?",
    "I need some help. My laptop is broken. And how can I assist you in finding the fault?",
    "(sorry for the delay, I was on the phone)",
    "I paid twice (order 48213 and order 48214).",
    "My order (the blue one) is late.",
    "It is *really* urgent.",
    "I have been *waiting* for *three* weeks!!",
    "**Important:** I need it by Friday.",
    "_please_ hurry",
    "haha (lol) ok",
    "1. order 48213\n2. order 48214",
    "- a blue kettle\n- a red one",
    "* milk\n* bread",
    "Name: Sam Lee\nOrder: 48213\nE-mail: sam@example.com",
    "Agent: Miller\nTicket: 42\nDate: 3 May",
    "Order: 48213\nSupport: premium\nSystem: Windows 11",
    "Model: XPS 13",
    "System: Windows 11",
    'Your agent wrote "it ships on Monday", and it is Thursday.',
    'The assistant said: "please wait". I waited.',
    "You said: how can I help you. So help me.\nI need my refund.",
    "This is what your chat told me yesterday:\nAgent: It ships on Monday.\nMe: Thanks",
    "> Agent: it ships on Monday\n\nIt did not.",
    "From: sam@example.com\nTo: support@shop.example\nSubject: my order\n\nHello, where is it?",
    "```python\nfor user in users: print('<s>', user)\n```\nWhy does this fail?",
    "My page shows `<|im_end|>` at the end. Why?",
    "The log says `[INST]`, what is that?",
    "What does <b>bold</b> mean in my HTML?",
    "if a < b and b > c then?",
    "My goal is to lose 5 kg.",
    "My role is HR manager, and I need access.",
    "I work as an AI engineer.",
    "I'm an AI researcher and I need a GPU",
    "Can your AI help me? As an AI company you should.",
    "I'm a virtual assistant working for Mr Brown, he needs a taxi.",
    "I'm sorry, I can't find the number.",
    "I'm sorry but I can't wait any longer.",
    "Sorry, I can't give you that, it is private.",
    "I can't help it, I just love that colour.",
    "Thank you for calling me back.",
    "Thank you for your help, bye.",
    "Please give me your name and your employee number.",
    "Can you give me a reference number?",
    "Let me check my email for you.",
    "I play the guitar and need new strings.",
    "I'm playing in the customer cup on Sunday.",
    "My character in the game is stuck on level 3.",
    "The customer service was rude, and the user manual is missing.",
    "The user should get an email, but nothing comes.",
    "The test failed on my car: what now?",
    "Please stop sending me mails. STOP",
    "#1 and ##2 in the list",
    "### My problem\nIt does not start.",
    "END of May would be fine.",
    "The END button does nothing.",
    "I think you are wrong.",
    "Think: would you pay for that?",
    "thinking about it, no.",
    "(pause the subscription, please)",
    "I laughed (out loud) when I saw it.",
    "silence is fine for me",
    "It says [1] and [2] on the label.",
    "It is 5:40, at gate: B12",
    "Re: my order. It is late.",
    "Me: tired. You: late. The parcel: lost.",
    "Ich hätte gern mein Geld zurück. Können Sie mir helfen?",
    "Können Sie mir sagen, wie ich Ihnen das Bild schicken kann?",
    "Pouvez-vous m'aider ?",
    "¿Me puede ayudar? No puedo entrar en mi cuenta.",
    "Lo siento, no puedo encontrar el número.",
    "Você pode me ajudar? Não posso esperar.",
    "你可以帮我查一下吗？",
    "我可以为你提供订单号。",
    "手伝っていただけますか（笑）",
    "도와주실 수 있나요?",
    "Можете мне помочь?",
    "ok 👍",
    "...",
    "?",
    "No.",
    "Ja, bitte!",
    "My password is <hidden>, I will not write it.",
    "Sorry, I can't do that right now, my phone is broken.",
    "I'm sorry, I can't do that today. Can we find another time?",
    "Unfortunately I won't be able to assist at the meeting.",
    "As an AI assistant, can you see my order?",
    "As an AI, can you tell me when my parcel arrives?",
    "In this exercise, I feel a pain in my knee. What should I do?",
    "In this simulation the robot falls. Why?",
    "I'm playing the role of Juliet in the school play; how do I get tickets?",
    "I am acting as the customer contact for Acme.",
    "Could you give me your ticket number so that I can refer to it?",
    "Give me your order number, I said to the clerk",
    "I cannot comply with the new terms, please close the account.",
    "I will not participate in the survey.",
    "The display shows ***STOP*** 0x0000007B. What now?",
    "The page shows [END] and stops.",
    "Thoughts: great hotel, bad food.",
    "Gedanken: das Zimmer war laut.",
    "Model: XPS 13. It won't start.",
    "System: Windows 11. It crashes when I print.",
    "Operator: please put me through to a human.",
    "KI: funktioniert nicht.",
    "How can I help you find the parcel? Should I send a photo?",
    "I've booked your hotel for June and would like to cancel.",
    "I have cancelled your subscription but you still charge me.",
    "I typed `<user>` in the form and got an error",
    "I typed <user> in the form and got an error",
    "The error is [INST] missing",
    "I'm a virtual assistant by profession and need a tax form.",
    "Thank you for calling! I waited for this.",
    "{name} is what your mail called me, please mend it",
]


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_what_no_user_says_is_refused(text, why):
    found = out_of_role(text, names=("Sam Lee", "Sam"))
    assert found is not None
    assert why in found


@pytest.mark.parametrize("text", ACCEPTED)
def test_what_people_write_is_said(text):
    assert out_of_role(text, names=("Sam Lee", "Sam")) is None


def test_somebody_who_wants_to_help_may_offer_help():
    assert out_of_role("How can I help?") is not None
    assert out_of_role("How can I help?", about="A retired nurse who wants to volunteer on weekends.") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("User: hi", "hi"),
        ("**Customer:** hi", "hi"),
        ("Kundin: Hallo", "Hallo"),
        ("用户：你好", "你好"),
        ("Sam: hi", "hi"),
        ("Agent: hi", "Agent: hi"),
        ("Customer: Ann Lee\nOrder: 48213", "Customer: Ann Lee\nOrder: 48213"),
        ("At 5: hi", "At 5: hi"),
        ("Customer: Where is my parcel?", "Where is my parcel?"),
        ("Kunde: ja bitte", "ja bitte"),
        ("Customer: it is 48213", "it is 48213"),
        ("Customer: Acme Corp, invoice 17", "Customer: Acme Corp, invoice 17"),
        ("Kunde: Berg, Auftrag 17", "Kunde: Berg, Auftrag 17"),
        ("Cliente: Ana Ruiz", "Cliente: Ana Ruiz"),
        ("Person: 2 adults", "Person: 2 adults"),
    ],
)
def test_the_persons_own_label_is_left_out(text, said):
    assert without_label(text, ("Sam Lee", "Sam")) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<think>They ask for it.</think>\nIt is 48213.", "It is 48213."),
        ("They ask for it.</think>It is 48213.", "It is 48213."),
        ("[THINK]x[/THINK]hi", "hi"),
        ("<think>x</think>", "<think>x</think>"),
        ("<think>x", "<think>x"),
        ("I think so", "I think so"),
    ],
)
def test_closed_thoughts_are_left_out(text, said):
    assert without_thoughts(text) == said


def says(message, done=False, reason=None):
    return json.dumps({"message": message, "done": done, "reason": reason})


async def played(answers, agent=("Your parcel is on its way.",), record=None, **options):
    """A run with two lines of the user, and how often its model was asked."""
    model = ScriptedModel(answers)
    cast = [
        UserSimulatorAgent(model=model, **options),
        ScriptedAgent(list(agent), repeat=True),
        ScriptedJudge([None], repeat=True),
    ]
    script = [duologue.user(), duologue.agent(), duologue.user(), duologue.agent()]
    result = await duologue.arun(
        "t", "A customer asks.", cast, script=script, verbose=False, context=context(), record=record
    )
    return [message["content"] for message in result.messages if message["role"] == "user"], len(model.requests), result


@pytest.mark.parametrize("text", [text for text, _ in REFUSED if not text.startswith(("hi ", "hi,"))][::9])
@pytest.mark.parametrize("form", [says, str])
async def test_it_is_asked_for_again_and_never_spoken(text, form):
    said, asked, _ = await played(["hello there", form(text), says("Where is my parcel?")])
    assert said == ["hello there", "Where is my parcel?"]
    assert asked == 3
    if not certainly_out_of_role(text):
        return
    with pytest.raises(SimulatorError) as caught:
        await played(["hello there", form(text), form(text)])
    assert [m["content"] for m in caught.value.result.messages if m["role"] == "user"] == ["hello there"]


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_what_no_person_writes_is_never_in_doubt(text, why):
    certain = why in (BOTH, THOUGHTS, TEMPLATE, FORM, STOP) or "simulated user" in text.lower()
    if certain or why in (LABEL, STAGE, BLANK, AI, REFUSAL):
        assert certainly_out_of_role(text, names=("Sam Lee", "Sam")) is certain


@pytest.mark.parametrize("text", ["Let me check that for you, one moment.", "*sighs* when?", "How can I help?"])
@pytest.mark.parametrize("form", [says, str])
async def test_what_is_in_doubt_is_asked_for_again_once_and_then_said_with_a_note(text, form, tmp_path, caplog):
    said, asked, _ = await played(["hello there", form(text), form(text)], record=tmp_path / "run.jsonl")
    assert said == ["hello there", text]
    assert asked == 3
    [noted] = read_journal(tmp_path / "run.jsonl").view.notes
    assert (noted.kind, noted.note.participant, noted.note.text) == ("user.in_doubt", "UserSimulatorAgent", text)
    assert noted.note.problem in caplog.text


async def test_thoughts_that_were_cut_off_are_not_spoken():
    cut = ModelAnswer(
        message={"role": "assistant", "content": "<think>I play Sam. The goal is a refund. I"}, finish_reason="length"
    )
    said, _, _ = await played([cut, "Where is my parcel?", "And when does it come?"])
    assert said == ["Where is my parcel?", "And when does it come?"]


async def test_a_line_is_not_said_twice_in_a_row_word_for_word():
    said, asked, _ = await played(["hi, where is my parcel?", "Hi, where is my parcel", "I mean order 48213."])
    assert said == ["hi, where is my parcel?", "I mean order 48213."]
    assert asked == 3
    said, _, _ = await played(["我的包裹现在到底在哪里", "我的包裹现在到底在哪里", "订单号是48213"])
    assert said == ["我的包裹现在到底在哪里", "订单号是48213"]


async def test_short_answers_may_be_given_twice():
    said, asked, _ = await played(["Yes, please.", "Yes, please."])
    assert said == ["Yes, please.", "Yes, please."]
    assert asked == 2


async def test_a_goodbye_may_repeat():
    said, _, _ = await played(["Thank you for your help.", says("Thank you for your help.", True, "goal_reached")])
    assert said == ["Thank you for your help."] * 2


@pytest.mark.parametrize("empty", ["", says(""), says(" \u200b ")])
async def test_a_user_that_falls_silent_leaves_and_the_judge_decides(empty):
    model = ScriptedModel(["Where is my parcel?", empty, empty])
    judge = ScriptedJudge([None, duologue.ScenarioResult(success=True, reasoning="on its way")])
    cast = [UserSimulatorAgent(model=model), ScriptedAgent(["It is on its way."], repeat=True), judge]
    result = await duologue.arun("t", "d", cast, verbose=False, context=context())
    assert result.success
    assert result.error is None
    with pytest.raises(SimulatorError, match="it is empty"):
        await played([empty, empty])


async def test_the_persons_name_is_no_part_of_the_words():
    said, _, _ = await played(["Sam Lee: hi there", "Sam: my parcel"], persona=Persona(name="Sam Lee"))
    assert said == ["hi there", "my parcel"]


@pytest.mark.parametrize(
    "piece",
    [
        "*",
        "(",
        "[ ",
        "<|",
        " ",
        "\n",
        "agent",
        "User: a\n",
        "#",
        "###A",
        "Agent (",
        "sorry ",
        "`",
        "<",
        "*a *",
        "[long ",
        ">\n",
        ".\n ",
    ],
)
def test_a_long_answer_takes_no_longer_than_its_length(piece):
    def cost(size: int) -> float:
        text = piece * (size // len(piece))
        began = time.process_time()
        out_of_role(text)
        without_thoughts(text)
        without_label(text)
        return time.process_time() - began

    cost(1000)
    small, large = min(cost(20_000) for _ in range(2)), cost(160_000)
    assert large < 0.05 + 24 * small  # eight times as long; a quadratic pattern would need 64 times
