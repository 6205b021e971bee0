"""Drawing from an OpenAI-compatible server."""

import asyncio
import socket

import pytest

from tests.evaluation.fake_server import FakeServer
from verl_ext.evaluation.equal_answers import EqualAnswers
from verl_ext.evaluation.sampler import Chunk
from verl_ext.evaluation.sampling_settings import Sampling
from verl_ext.evaluation.server_sampler import Server, ServerError, ServerSampler, find_server, read_api_key

SAMPLING = Sampling(max_tokens=9)


def draw(server, prompts, chunks, **options):
    async def collect():
        found = find_server(server.url, None, None)
        sampler = ServerSampler(found, prompts, SAMPLING, pause_seconds=0.01, **options)
        return [item async for item in sampler.draw(chunks)]

    return asyncio.run(collect())


def test_every_sample_is_asked_for_with_its_own_seed():
    chunks = [Chunk(problem, 0, 3, 100 * problem) for problem in range(20)]
    with FakeServer() as server:
        drawn = draw(server, [f"P{i}" for i in range(20)], chunks, max_in_flight=4)
        assert server.most_in_flight <= 4
    assert sorted(c.problem for c, _ in drawn) == list(range(20))
    for chunk, answers in drawn:
        assert [a.text for a in answers] == [f"seed {chunk.seed + i}" for i in range(3)]
        assert answers[0][1:] == ("stop", 3, None)
    path, request, authorization = server.requests[0]
    assert path == "/v1/completions"
    assert authorization is None
    # Without these, vLLM takes what the model's generation_config.json says, and writes a second <bos>.
    assert request["repetition_penalty"] == 1.0
    assert request["top_k"] == -1
    assert request["add_special_tokens"] is False
    assert (request["temperature"], request["top_p"], request["max_tokens"], request["n"]) == (0.6, 0.95, 9, 1)


def test_messages_go_to_the_chat_endpoint():
    messages = [{"role": "user", "content": "hi"}]
    with FakeServer() as server:
        draw(server, [messages], [Chunk(0, 0, 1, 5)], chat_options={"enable_thinking": False}, api_key="secret")
        path, request, authorization = server.requests[0]
    assert path == "/v1/chat/completions"
    assert request["messages"] == messages
    assert request["chat_template_kwargs"] == {"enable_thinking": False}
    assert authorization == "Bearer secret"


def test_another_kind_of_server_is_asked_only_what_the_protocol_has():
    with FakeServer(owner="openai") as server:
        draw(server, ["P"], [Chunk(0, 0, 1, 5)])
        _, request, _ = server.requests[0]
    assert set(request) == {"model", "n", "seed", "temperature", "top_p", "max_tokens", "prompt"}


def test_a_passing_fault_is_tried_again():
    with FakeServer(faults=[500, 429, 503]) as server:
        drawn = draw(server, ["P"], [Chunk(0, 0, 2, 5)], max_in_flight=1)
        assert len(server.requests) == 5
    assert [a.text for a in drawn[0][1]] == ["seed 5", "seed 6"]


@pytest.mark.parametrize(
    ("faults", "message"), [([400], "refuses a request: 400 .*as planned"), ([500] * 6, "failed 6 times in a row: 500")]
)
def test_a_lasting_fault_ends_the_run(faults, message):
    with FakeServer(faults=faults) as server, pytest.raises(ServerError, match=message):
        draw(server, ["P"], [Chunk(0, 0, 1, 5)])


def test_a_reply_that_is_no_completion_is_shown():
    with FakeServer(body={"hello": 1}) as server, pytest.raises(ServerError, match='no completion: .*"hello"'):
        draw(server, ["P"], [Chunk(0, 0, 1, 5)])


def test_nobody_there():
    with pytest.raises(ValueError, match=r"No OpenAI-compatible server answers at http://127.0.0.1:9/v1/models"):
        find_server("http://127.0.0.1:9", None, None)


def test_which_model_is_meant():
    with FakeServer(models=("a", "b")) as server:
        assert find_server(server.url + "/v1/", "b", None) == Server(f"{server.url}/v1", "b", "vllm")
        with pytest.raises(ValueError, match="has a, b. Choose one of its models with --served_model"):
            find_server(server.url, None, None)
        with pytest.raises(ValueError, match="It has no model c"):
            find_server(server.url, "c", None)


def choice_of(content, finish_reason="stop", **message):
    return {"message": {"content": content} | message, "finish_reason": finish_reason}


MESSAGES = [{"role": "user", "content": "hi"}]
LONG = "The answer follows from the first line, and so on and on: it is 12."


def test_the_thoughts_that_a_server_takes_out_are_kept():
    choices = [choice_of("12", reasoning_content="I think so."), choice_of("13", reasoning="Or so."), choice_of("14")]
    with FakeServer(choices=choices) as server:
        ((_, answers),) = draw(server, [MESSAGES], [Chunk(0, 0, 3, 5)], max_in_flight=1)
    assert [(answer.text, answer.reasoning) for answer in answers] == [
        ("12", "I think so."),
        ("13", "Or so."),
        ("14", None),
    ]


@pytest.mark.parametrize("reason", ["abort", "error"])
def test_an_answer_that_was_broken_off_is_drawn_again(reason):
    with FakeServer(choices=[choice_of("It i", reason), choice_of("It is 12.")]) as server:
        ((_, answers),) = draw(server, [MESSAGES], [Chunk(0, 0, 1, 5)])
        assert len(server.requests) == 2
        assert server.requests[0][1]["seed"] == server.requests[1][1]["seed"]
    assert answers[0].text == "It is 12."
    message = rf"failed 6 times in a row: it broke off the answer \(finish_reason {reason}\)"
    with FakeServer(choices=[choice_of("It i", reason)]) as server, pytest.raises(ServerError, match=message):
        draw(server, [MESSAGES], [Chunk(0, 0, 1, 5)])


@pytest.mark.parametrize(
    "content", [12, [{"type": "text", "text": "12"}], {"text": "12"}, True], ids=["number", "list", "object", "boolean"]
)
def test_a_content_that_is_no_text_is_shown(content):
    message = r'has a content that is no text: .*"content": .*(12|true)'
    with FakeServer(choices=[choice_of(content)]) as server, pytest.raises(ServerError, match=message):
        draw(server, [MESSAGES], [Chunk(0, 0, 1, 5)])


def test_a_server_that_gives_one_answer_only_stops_the_run():
    with FakeServer(choices=[choice_of(LONG)]) as server:
        message = r"has given the same answer to every sample of a problem, 15 times, at temperature 0.6"
        with pytest.raises(ServerError, match=message):
            draw(server, [MESSAGES, MESSAGES], [Chunk(i // 20, i % 20, 1, i) for i in range(40)], max_in_flight=1)
        assert len(server.requests) == 16


def repeats(texts, temperature=0.6):
    """What is noticed of answers, each to the problem of its place modulo 2."""
    equal = EqualAnswers(temperature)
    for place, text in enumerate(texts):
        equal.see(place % 2, [text])
    return equal.num_repeats, equal.is_sure


def test_equal_answers():
    assert repeats([LONG] * 16) == (14, False)
    assert repeats([LONG] * 17) == (15, True)
    assert repeats([LONG, LONG + "!"] * 9) == (16, True)  # two problems with an answer each
    assert repeats(["12"] * 40) == (38, False)  # so short a one may well be all that a model says
    assert repeats([LONG] * 40, temperature=0.1) == (38, False)
    assert repeats([LONG] * 40, temperature=0.0) == (0, False)
    assert repeats([LONG] * 10 + ["other"] + [LONG] * 40) == (0, False)
    assert repeats([LONG] * 2) == (0, False)


def test_loopback_needs_no_proxy(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with FakeServer() as server:
        assert draw(server, ["P"], [Chunk(0, 0, 1, 5)])[0][1][0].text == "seed 5"


def test_a_proxy_is_named_without_its_password(monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:9")
    with pytest.raises(
        ValueError, match=r"through the proxy http://\*\*\*@127.0.0.1:9 \(http_proxy; NO_PROXY=far"
    ) as refusal:
        find_server("http://far.invalid:8000", None, None)
    assert "secret" not in str(refusal.value)
    monkeypatch.setenv("no_proxy", "far.invalid")
    with pytest.raises(ValueError, match="No OpenAI-compatible server") as refusal:
        find_server("http://far.invalid:8000", None, None)
    assert "proxy" not in str(refusal.value)


@pytest.mark.parametrize("key", ["sk-1\n2", "sk 1", "sk-\N{LATIN SMALL LETTER E WITH ACUTE}"])
def test_a_key_that_no_header_holds_is_refused_and_not_shown(key):
    with pytest.raises(ValueError, match="OPENAI_API_KEY has a character that no key has") as refusal:
        read_api_key(key)
    assert "sk" not in str(refusal.value)


def test_the_end_of_the_keys_line_is_no_part_of_it():
    assert read_api_key("sk-1\r\n") == "sk-1"
    assert read_api_key(" \n") is read_api_key(None) is None


def test_a_server_that_repeats_the_key_does_not_print_it():
    with FakeServer(faults=[401]) as server, pytest.raises(ServerError, match="refuses a request: 401") as failure:
        draw(server, ["P"], [Chunk(0, 0, 1, 5)], api_key="planned")
    assert "as ***" in str(failure.value)


def test_a_silent_server_is_not_waited_for_longer_than_allowed():
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        server = Server(f"http://127.0.0.1:{silent.getsockname()[1]}/v1", "m", "vllm")
        sampler = ServerSampler(server, ["P"], SAMPLING, pause_seconds=0.01, request_seconds=0.2)

        async def collect():
            return [item async for item in sampler.draw([Chunk(0, 0, 1, 5)])]

        message = r"failed 2 times in a row: no answer came within 0.2 s \(--request_timeout\)"
        with pytest.raises(ServerError, match=message):
            asyncio.run(collect())
