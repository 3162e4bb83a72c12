"""Which of PostgreSQL's text search configurations a text is indexed with, told by its commonest words."""

from __future__ import annotations

import re
from collections import Counter

FREQUENT = {
    "english": "the and of to in is it that for you with what are this can how not have do be on my an from which when would should",
    "german": "der die das und ist ich nicht ein eine zu mit auf für wie was sie wir den dem auch sich von kann aber bei wird sind",
    "french": "le la les et est je ne pas un une des que qui dans pour avec sur vous nous du ce cette comment sont il elle au",
    "spanish": "el la los las y es que no un una de en por para con se del como lo más mi pero está cómo qué cuál son",
    "italian": "il lo la gli e è che non un una di in per con si del della come più mi ma sono questo questa nel anche",
    "portuguese": "o os as e é que não um uma de em por para com se do da dos das como mais mas meu minha são você no na",
    "dutch": "de het een en is ik niet van te dat die in op met voor hoe wat zijn je we maar ook aan er kan naar",
    "swedish": "och att det som en är på jag inte av för med den har till ett om hur vad kan men de vi ska från",
    "danish": "og at det som en er på jeg ikke af for med den har til et om hvordan hvad kan men de vi skal fra",
    "norwegian": "og at det som en er på jeg ikke av for med den har til et om hvordan hva kan men de vi skal fra",
    "finnish": "ja on ei se että hän joka mutta kun niin kuin ovat tämä mitä miten voi minä olen sen oli myös",
    "russian": "и в не на я что он с как это по но она к у мы из за то так же для вы от",
    "turkish": "ve bir bu da de için ile ne çok var nasıl mi ben daha ama gibi olarak değil kadar olan",
}
LANGUAGES = tuple(FREQUENT)
DEFAULT = "english"
ENOUGH = 2  # different frequent words, below which a text says nothing about its language
SAMPLE = 4000  # characters that are looked at

_word = re.compile(r"[^\W\d_]+")
_languages_of: dict[str, list[str]] = {}
for _language, _words in FREQUENT.items():
    for _one in _words.split():
        _languages_of.setdefault(_one, []).append(_language)


def language_of(text: str) -> str:
    """The configuration for `text`; English for what is too short to tell, since most names and code are."""
    words = set(_word.findall(text[:SAMPLE].lower()))
    found = Counter(language for word in words for language in _languages_of.get(word, ()))
    language, count = max(found.items(), key=lambda one: (one[1], -LANGUAGES.index(one[0])), default=(DEFAULT, 0))
    return language if count >= ENOUGH else DEFAULT
