"""The words by which texts of many languages mark an answer. A new language is a few words in each table.

Languages that put blanks between words are matched at the edges of words; the others (Chinese, Japanese, Korean, Thai and
Arabic script, where an article sticks to its noun) anywhere.
"""

import re

ANSWER = (
    "answer answers ans réponse reponse antwort endergebnis respuesta resposta risposta antwoord odpowiedź cevap yanıt svar"
    " svaret vastaus odpověď válasz răspuns răspunsul jawaban jawabannya jibu ответ відповідь απάντηση",
    "答案 答え 答 정답 답 الجواب الإجابة إجابة جواب پاسخ תשובה उत्तर जवाब উত্তর คำตอบ సమాధానం đáp án|đáp số|câu trả lời",
)
"""The noun, in languages with blanks and in the others."""
BEFORE_VERB = "cevap yanıt उत्तर जवाब คำตอบ 答 답 উত্তর"
"""Nouns of ``ANSWER`` that a number may follow directly, because the verb comes last."""
IS = (
    "is are was were be being equals equal it's that's there's c'est becomes become remains est sont vaut valent ist sind lautet lauten beträgt betragen"
    " ergibt es son é são vale valem è sono wynosi jest bedraagt är blir adalah равно равна равен равны составляет"
    " είναι este sunt là",
    "是 为 為 は 等于 等於 이다 은 는 هو هي يساوي है হল হলো คือ",
)
"""What an answer follows directly: forms of to be and to equal."""
GIVES = (
    "get gets got obtain obtains gives give given yields yield find finds have has had makes make takes take need needs cost"
    " costs obtenons obtient donne avons fallait faut erhalten bekommen haben gibt kostet braucht"
    " tenemos obtenemos da hay tiene cuesta temos obtemos tem custa há abbiamo otteniamo ha costa получаем получим получится"
    " имеем нужно krijgen hebben otrzymujemy mamy",
    "得 得到 得出 共有 有 需要 يكون نحصل 얻는다",
)
"""What an answer often follows: there are, we get, it takes."""
THEREFORE = (
    "therefore thus hence so consequently then finally altogether overall accordingly conclusion summary donc ainsi alors"
    " finalement par conséquent also daher somit folglich insgesamt deshalb damit por tanto así entonces finalmente luego"
    " portanto logo assim então quindi pertanto dunque perciò infine dus daarom zatem więc czyli böylece alltså siis"
    " tedy takže tehát deci jadi maka kwa hiyo следовательно итак значит таким поэтому отже άρα επομένως vậy",
    "所以 因此 故 于是 綜上 综上 よって したがって ゆえに 따라서 그러므로 لذلك إذن لذا बाद अतः इसलिए তাই সুতরাং ดังนั้น కాబట్టి",
)
"""What a conclusion begins with."""
BETWEEN = (
    "therefore thus then exactly approximately about around roughly equal to a an the total of only just simply also again now"
    " always indeed hence still actually both all given by at both either et environ exactement égal égale à de au genau etwa"
    " rund insgesamt gleich exactamente igual a aproximadamente exatamente esattamente circa uguale при будет precies ongeveer"
    " is are be have has exactly sind ist there different distinct possible value values definitely certainly surely sure for"
    " respectively approx ca",
    "約 约 共 总共 正好 总 一共",
)
"""What may stand between such a word and the answer without changing it."""
BOUND = ("at least", "at most", "less than", "more than", "fewer than", "greater than", "no more than", "no less than")
"""What changes the answer that follows, and is a part of it."""
NOT = re.compile(
    r"\b(?:not|never|cannot|neither|nor|isn't|aren't|wasn't|doesn't|don't|n'est|ne|pas|nicht|kein|keine|nunca|jamais|não|non|niet|nie)\b"
    r"|(?<!\w)(?:no|не|нет)(?!\w)|不|没|ない|아니|ليس|नहीं",
    re.IGNORECASE,
)
ASIDE = (
    "in for with after within during until from before between since over every each per if when with d'ici dans pendant après pour"
    " chaque dès nach für innerhalb während bis jede jeden jeder wenn durante después dentro para cada desde hasta si após por"
    " em se dopo entro per ogni fra через за после в каждый если na för efter om setelah dalam selama setiap sau trong mỗi"
)
"""What comes before a number that is not the point of its sentence: in 12 months, for 3 people."""
RETRACTION = re.compile(
    r"\b(?:wait|hold on|on second thought|correction|let me (?:re|double|check|try)|i made (?:a|an) (?:mistake|error))\b|等等|不对|不對",
    re.IGNORECASE,
)
"""What takes back all that stands before it."""
REFUSAL = re.compile(
    r"\b(?:cannot|can't|could not|unable to|not able to|impossible to) (?:answer|solve|determine|find|be (?:determined|solved|answered))"
    r"|\b(?:don't|do not) know\b|\bno (?:final )?answer\b|\bnot enough information\b",
    re.IGNORECASE,
)
"""A sentence that gives no answer, whatever numbers it holds."""
CLOSING = re.compile(
    r"[\W_]*(?:i hope|hope (?:this|that|it)|let me know|please|thank|note|note that|feel free|if you (?:have|need|want|would)|check|checking|verif|proof"
    r"|we can (?:check|verify|confirm)|to (?:check|verify|confirm)|this (?:matches|agrees|completes|satisfies|confirms|checks)"
    r"|remember|probe|vérif|j'espère|ich hoffe|espero|comprob|验证|验算|検算)",
    re.IGNORECASE,
)
"""How sentences behind the conclusion begin: wishes, checks and notes."""
NO_VALUE = re.compile(
    r"(?:the )?(?:correct|right|wrong|incorrect|true|false|as follows|below|above|clear|obvious|unknown|given|found|verified"
    r"|different|unique|in|provided|shown|not)\b",
    re.IGNORECASE,
)
"""What "the answer is" may be followed by without saying the answer."""
ARTICLES = frozenset("a A I i e y o u à и в с к о у а я".split())
"""Words of one letter; every other letter alone is a name."""
LABELS = frozenset(
    "step case part problem question equation eq figure fig table section chapter example theorem lemma note method line round version option"
    " étape cas schritt fall paso caso passo шаг случай".split()
)
"""What the number behind them only numbers."""
KEPT_WORDS = frozenset(
    "hundred hundreds thousand thousands million millions billion billions trillion trillions dozen dozens lakh crore half"
    " halves third thirds quarter quarters fifths sixths eighths tenths mille mil millón millones milhão milhões milione milioni"
    " millionen milliarden mio mrd tausend hundert mln тысяч тысячи тыс млн миллионов миллиона am pm a.m p.m".split()
)
"""Words behind a number that change it."""
KEPT_CHARACTERS = "百千万萬億亿兆%％‰°"
UNITS_OF_TWO_MEANINGS = frozenset("in a are at as per min h d".split())
"""Units that are also words."""


def one_of(tables: tuple[str, str]) -> str:
    """A pattern for the words of a table, longest first, in lower case."""
    apart = sorted(map(re.escape, tables[0].split()), key=len, reverse=True)
    anywhere = sorted(map(re.escape, tables[1].replace("|", " ").split()), key=len, reverse=True)
    return rf"(?:(?<!\w)(?:{'|'.join(apart)})(?!\w)|(?:{'|'.join(anywhere)}))"
