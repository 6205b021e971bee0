"""Files of answers for the viewer, hostile ones among them, and what a page holds."""

import json
import re
import zlib
from base64 import b64decode
from pathlib import Path
from typing import Any

HOSTILE = {
    "script": '<script>window.broken = 1</script><img src=x onerror="window.broken = 2">',
    "end of the block": "</script><script>window.broken = 3</script>",
    "comment": "<!-- <script> --!> ]]> <![CDATA[",
    "attribute": '" onmouseover="window.broken = 4" x=\'',
    "template": "{{ 7 * 7 }} {% raw %} ${window.broken = 5} ::blocks::",
    "address": "javascript:window.broken=6 http://127.0.0.1:9/pixel.png",
    "style": "</style><style>body { display: none }</style>",
    "prototype": '{"__proto__": {"broken": 7}} constructor',
    "line separators": "one\u2028two\u2029three\r\nfour\x85five",
    "controls": "".join(map(chr, range(32))) + "\x7f\x1b[2J\x1b[31m red",
    "bidi": "\u202eabc\u202c \u2066isolated\u2069 \u200f\u061cend",
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 123",
    "half a pair": "\ud83d alone, \ude00 alone, 😀 whole",
    "marks": "a" + "\u0301\u0302\u0489" * 300,
    "invisible": "\u200b\ufeff\u2060\u00ad\U000e0041\U000e0042",
    "entities": "&lt;script&gt; &amp; &#x3c;",
    "wide": "W" * 5000,
    "empty": "",
    "boxes": "\\boxed{1} and then \\boxed{2}, not 2.",
}
"""Name -> what a model may write."""
BLOCK = re.compile(r'<script type="text/plain" id="(\w+)">([^<]*)</script>')


def write_lines(path: Path, *records: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def hostile_answers(path: Path) -> Path:
    """Each hostile text as an answer, and in every field that a line may have."""
    return write_lines(
        path,
        *(
            {
                "question_id": text[:60] + str(number),
                "generation_id": text[:30] or 0,
                "response": text,
                "pred_answer": text[:40],
                "gold_answer": text,
                "label": number % 2,
                "reason": text[:50] or "correct",
                "tier": text[:20],
                "rule": text[:20],
                "detail": text,
                "level": text[:20],
                "subject": text[:20],
                "prompt": [{"role": "system", "content": text}, {"role": "user", "content": text}],
            }
            for number, text in enumerate(HOSTILE.values())
        ),
    )


def blocks_of(page: Path) -> dict[str, Any]:
    """What is packed in a page."""
    text = page.read_text(encoding="utf-8")
    return {name: json.loads(zlib.decompress(b64decode(packed))) for name, packed in BLOCK.findall(text)}


def evaluation(path: Path, *, right: dict[str, int], num_samples: int = 4, **more: Any) -> Path:
    """Answers to problems, so many right of each, and their side file with prompts."""
    rows = [
        {
            "question_id": key,
            "generation_id": i,
            "response": f"The answer to {key} is \\boxed{{{i}}}." + " more" * (i == 3) * 100,
            "pred_answer": str(i),
            "gold_answer": "1",
            "label": i < num_right,
            "reason": "correct" if i < num_right else "no_answer" if i == 3 else "incorrect",
            "tier": "exact",
            "rule": "box",
            "num_tokens": 10 + i,
            "finish_reason": "stop",
            "level": "1" if key < "p5" else "2",
        }
        | more
        for key, num_right in right.items()
        for i in range(num_samples)
    ]
    problems = {key: {"task": "math500", "prompt": [{"role": "user", "content": f"What is {key}?"}]} for key in right}
    path.with_suffix(".run.json").write_text(json.dumps({"format": 1, "problems": problems}))
    return write_lines(path, *rows)


def rollouts(folder: Path, num_steps: int = 2) -> Path:
    """The folder of a run that logs its samples, with log-probs."""
    for step in range(1, num_steps + 1):
        write_lines(
            folder / "rollouts" / f"{step}.jsonl",
            *(
                {
                    "input": "2 + 2 =",
                    "output": "It is 4" if i else "It is 5",
                    "gts": "4",
                    "score": float(i > 0),
                    "step": step,
                    "uid": f"abc_{i}_0",
                    "acc": float(i > 0),
                    "correct": float(i > 0),
                    "incorrect": float(i == 0),
                    "answer": "4" if i else "5",
                    "kept": i == 0,
                    "advantage": -1.0 if i == 0 else None,
                    "num_tokens": 4,
                    "tokens": ["It", " is", " 4" if i else " 5", ""],
                    "rollout_log_probs": [-0.1, -2.0, -0.5, 0.0],
                    "old_log_probs": None if i else [-0.1, -2.3, -0.4, 0.0],
                }
                for i in range(3)
            ),
        )
    (folder / "metrics.jsonl").write_text("")
    return folder
