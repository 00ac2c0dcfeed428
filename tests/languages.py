"""A study in English, German and Arabic, whole in each."""

from __future__ import annotations

from typing import Any

AGE = {"name": "age", "caption": "How old are you?", "options": ["under 30", "30 or more"]}
SAID = {"name": "remarks", "caption": "Anything else?", "options": []}
ENGLISH: dict[str, Any] = {
    "language": "en",
    "summary": "Compare pairs of images.",
    "consent_text": "I agree to take part.",
    "instructions": "Look at both images.",
    "question": "Which image is better?",
    "debrief": "It was about generators.",
    "exit_questions": [AGE, SAID],
}
GERMAN: dict[str, Any] = {
    "title": "Bildpaare",
    "summary": "Vergleichen Sie Bildpaare.",
    "consent_text": "Ich nehme teil.",
    "instructions": "Sehen Sie beide Bilder an.",
    "question": "Welches Bild ist besser?",
    "debrief": "Es ging um Bildgeneratoren.",
    "exit_questions": {
        "age": {"caption": "Wie alt sind Sie?", "options": ["unter 30", "30 oder mehr"]},
        "remarks": {"caption": "Sonst noch etwas?"},
    },
}
ARABIC: dict[str, Any] = {
    "summary": "قارن بين أزواج من الصور.",
    "consent_text": "أوافق على المشاركة.",
    "instructions": "انظر إلى الصورتين.",
    "question": "أي صورة أفضل؟",
    "debrief": "كانت الدراسة عن مولدات الصور.",
    "exit_questions": {
        "age": {"caption": "كم عمرك؟", "options": ["أقل من 30", "30 أو أكثر"]},
        "remarks": {"caption": "هل لديك ملاحظات؟"},
    },
}
THREE_LANGUAGES: dict[str, Any] = {**ENGLISH, "translations": {"de": GERMAN, "ar": ARABIC}}
