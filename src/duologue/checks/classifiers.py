"""What a classifier says of a message: the mood of a text, the emotion of a voice, what a picture shows.

None comes with this package. Pass one in with ``resources=Resources(classifiers={"text_sentiment": …})``, or install a
package that offers one; without, these checks are skipped and say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from duologue.checks.base import CheckType, Finding, finding, skipped
from duologue.checks.media_checks import media_in
from duologue.checks.registry import check
from duologue.checks.subject import Subject
from duologue.messages import text_of
from duologue.models.resources import Media, Resources
from duologue.transcripts.media_facts import data_of, kind_of


class _Classified(CheckType):
    task: ClassVar[str]
    """What the classifier is for."""

    expected_label: str = Field(min_length=1)
    """Label that must be the most probable one, such as ``positive``. Its probability is the score."""
    classifier_id: str | None = None
    """ID of the classifier, if several are configured for the task."""
    model: str | None = None
    """Alternative to ``classifier_id``, for suites from other systems."""
    message_role: Literal["user", "assistant"] = "assistant"
    """Whose messages to look at."""
    message_index: int = -1
    """Which of these messages, counted from 0; -1 is the last."""

    async def look(self, subject: Subject, resources: Resources) -> Finding:
        classifier = resources.classifier(self.task, self.classifier_id or self.model)
        if classifier is None:
            wanted = (
                f"{self.task}.{self.classifier_id or self.model}" if self.classifier_id or self.model else self.task
            )
            return skipped(f"no classifier is configured; pass one: resources=Resources(classifiers={{'{wanted}': …}})")
        items = self._items(subject)
        try:
            message_id, item = items[self.message_index]
        except IndexError:
            return finding(
                False, f"there is no such message: {len(items)} of the {self.message_role} can be classified"
            )
        labels = await classifier.classify(item)
        return self._found(labels, message_id)

    def _found(self, labels: Mapping[str, float], message_id: str) -> Finding:
        best = max(labels, key=lambda label: labels[label], default="nothing")
        probability = labels.get(self.expected_label, 0.0)
        return Finding(
            score=probability,
            passed=best == self.expected_label,
            explanation=f"'{best}', '{self.expected_label}' expected ({probability:.2f})",
            message_ids=[message_id],
            details={"labels": dict(labels)},
        )

    def _items(self, subject: Subject) -> list[tuple[str, str | Media]]:
        return [
            (record.message_id, text)
            for record in subject.records
            if record.message["role"] == self.message_role and (text := text_of(record.message))
        ]


class _ClassifiedMedia(_Classified):
    media: ClassVar[str]

    def _items(self, subject: Subject) -> list[tuple[str, str | Media]]:
        parts = media_in(subject, self.media, self.message_role)
        return [
            (message_id, Media(data=data, mime_type=kind_of(part)))
            for message_id, part in parts
            if (data := data_of(part))
        ]


@check("text_sentiment", family="Classified")
class TextSentiment(_Classified):
    """A classifier finds the expected sentiment in a message."""

    task: ClassVar = "text_sentiment"


@check("text_toxicity", family="Classified")
class TextToxicity(_Classified):
    """A classifier gives a message the expected toxicity label."""

    task: ClassVar = "text_toxicity"


@check("audio_emotion", family="Classified")
class AudioEmotion(_ClassifiedMedia):
    """A classifier recognises the expected emotion in an audio clip."""

    task: ClassVar = "audio_emotion"
    media: ClassVar = "audio"


@check("image_moderation", family="Classified")
class ImageModeration(_ClassifiedMedia):
    """A classifier gives an image the expected moderation label."""

    task: ClassVar = "image_moderation"
    media: ClassVar = "image"
