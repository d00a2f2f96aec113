"""How the user sounds and behaves where the agent is spoken with, and how such a call is held."""

from typing import Annotated, Any, Literal, Self, cast

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from duologue.config.spec import DAY, EMPTY, Amount, Count, Items, JsonObject, Name, Share, Spec, Text, UpToADay


def _voice(name: str) -> str:
    provider, slash, own = name.partition("/")
    if not slash or not provider or not own:
        raise ValueError("a voice as provider/name, such as 'local/heart' or 'openai/alloy'")
    return name


class SoundEffect(Spec):
    """Something that happens to the user's voice on its way to the agent."""

    name: Name
    """An effect of ``duologue.voice.effects``, such as ``phone_quality`` or ``background_noise``."""
    params: JsonObject = EMPTY
    """Its parameters, such as ``{preset: cafe, snr: 15}``."""


def _effect(written: Any) -> Any:
    """``phone_quality`` and ``{background_noise: {snr: 15}}`` as an effect with its parameters."""
    if isinstance(written, str):
        return {"name": written}
    if not isinstance(written, dict):
        return written
    fields = cast("dict[str, Any]", written)
    if len(fields) != 1 or {"name", "params"} & fields.keys():
        return fields
    [(name, params)] = fields.items()
    return {"name": name, "params": {} if params is None else params}


Effect = Annotated[SoundEffect, BeforeValidator(_effect, json_schema_input_type=str | SoundEffect | dict[str, Any])]
"""An effect: its name, or its name with parameters."""


class Interruptions(Spec):
    """How a simulated user cuts in while the agent speaks."""

    probability: Share = 0.3
    """How likely the user is to cut in on an answer of the agent, 0 to 1. Drawn from the seed of the run."""
    delay: Annotated[Items[Annotated[float, Field(ge=0, le=DAY)]], Field(min_length=2, max_length=2)] = (0.5, 3.0)
    """Seconds into the agent's answer at which the user cuts in, at least and at most."""
    phrases: Items[Text] = ()
    """What it says then. Default: what the simulated user would say next."""

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.delay[0] > self.delay[1]:
            raise ValueError(f"delay as [at least, at most]; found {list(self.delay)}")
        return self


class UserVoice(Spec):
    """How the user sounds and behaves in a call. What a persona says counts before what the scenario says."""

    voice: Annotated[str, AfterValidator(_voice)] | None = None
    """The user's voice, as ``provider/name``: ``local/heart`` on this machine, or a voice of a provider, such as
    ``openai/alloy``. Default: ``local/heart`` where it is installed."""
    effects: Items[Effect] = ()
    """What happens to the voice on its way, in this order, such as ``[{background_noise: {preset: cafe, snr: 15}},
    phone_quality]``."""
    interruptions: Interruptions | None = None
    """How the user cuts in on the agent. Default: it does not."""
    backchannels: Share = 0.0
    """How likely the user is to give a sign of listening, such as "mm-hmm", in each three seconds of the agent's
    speech. The agent should go on."""
    vocal_tics: Share = 0.0
    """The same for a cough or an "um"."""
    non_directed: Share = 0.0
    """The same for words to somebody else, such as "One moment, I am on the phone". The agent should not answer."""
    patience: UpToADay | None = None
    """Silence after which the user asks whether anybody is there. Default: it waits as long as the agent may take."""
    hang_up_after: Count = 2
    """How often it asks that, before it hangs up."""


class VoiceCall(UserVoice):
    """How a scenario is spoken: the user's voice, and how the call is held."""

    timeout: UpToADay | None = None
    """Longest time of the whole call, from when it is connected. A call that takes longer is ended, and its run is an
    error. Default: only ``run_timeout`` limits it."""
    end_of_turn: Literal["agent", "silence"] = "agent"
    """What ends a turn of the agent: that its side says so, where its protocol does, or ``silence`` in any case."""
    silence: UpToADay | None = None
    """Silence of the agent that ends its turn. Default: 0.6 seconds."""
    longest_turn: UpToADay | None = None
    """Time that the agent may speak in one turn before it is given up. Default: 30 seconds."""
    answer_within: UpToADay | None = None
    """Time in which the agent must have begun to speak. Default: 60 seconds."""
    pause: Annotated[float, Field(ge=0, le=DAY)] = 0.0
    """Seconds that the user waits after the agent has finished, before it speaks."""
    retries: Annotated[int, Field(ge=0, le=1000)] = 0
    """How often a call is made again that could not be made. One that breaks off is an error: whoever answers a new
    call would not know what was said in the first."""
    retry_delay: Annotated[float, Field(ge=0, le=DAY)] = 1.0
    """Seconds before a call is made again."""
    enough_turns: Amount = 1
    """Answers of the agent after which a call that its side ends counts as complete, and is judged by what was said.
    A call that it ends earlier is an error."""
    may_end_in_last_turn: bool = True
    """Whether the agent's side may end the call in the last turn, without having answered."""
