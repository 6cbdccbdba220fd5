# SPDX-License-Identifier: Apache-2.0
"""OpenAI's completions as JSON: what comes in as a `Completion`, what goes out as bytes, errors as theirs."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any, Final

from . import tokens

#: OpenAI's and vLLM's of /v1/completions, where nobody says. A chat's answer ends by itself.
DEFAULT_MAX_TOKENS: Final = 16
#: Sequences that OpenAI takes.
_MOST_STOPS: Final = 4


class ApiError(Exception):
    """An answer other than 200, in OpenAI's shape."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        retry_after: int = 0,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        kind = "server_error" if status >= 500 else "invalid_request_error"
        if status == 429:
            kind = "requests"  # as OpenAI names what there were too many of
        self.body = json.dumps(
            {"error": {"message": message, "type": kind, "param": param, "code": code}}
        ).encode()


@dataclass(frozen=True)
class Completion:
    """A request for tokens, checked."""

    id: str
    chat: bool
    prompt_tokens: int
    max_tokens: int  # that the answer will have, whatever ends it
    finish: str  # OpenAI's finish_reason: what ends it
    characters: int | None  # of the answer, if a stop sequence cuts its text
    seed: int
    stream: bool
    include_usage: bool
    kv: dict[str, Any]  # vLLM's kv_transfer_params
    fields: dict[str, Any]  # the body as it came


@dataclass(frozen=True)
class Limits:
    """What a server takes."""

    served_models: tuple[str, ...]
    context: int
    byte_scale: float


def parse(body: bytes, chat: bool, limits: Limits) -> Completion:
    """ApiError says what is wrong with it."""
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise ApiError(400, f"the body is not JSON: {error}") from None
    except RecursionError:
        raise ApiError(400, "the body is nested too deep") from None
    if not isinstance(fields, dict):
        raise ApiError(400, "the body is not a JSON object")
    model = fields.get("model")
    if not isinstance(model, str):
        raise ApiError(400, "you must provide a model parameter", param="model")
    if model not in limits.served_models:
        raise ApiError(404, f"The model `{model}` does not exist.", "model_not_found", "model")
    if _integer(fields, "n", 1) != 1:
        raise ApiError(400, "n: this server makes one answer a request", param="n")
    prompt_tokens, text = (_messages if chat else _prompt)(fields, limits.byte_scale)
    seed = tokens.seed_of(text)
    asked = _asked(fields, chat)
    for name, most in (("temperature", 2), ("top_p", 1)):
        _within(fields, name, most)
    room = limits.context - prompt_tokens
    if room < (asked or 1):
        wish = f" and {asked} for the answer" if asked else ""
        # Who wrote a short prompt has to learn what made it long.
        scaled = "" if limits.byte_scale == 1 else f" (its bytes are scaled by {limits.byte_scale:g})"
        raise ApiError(
            400,
            f"This model's maximum context length is {limits.context} tokens. However, you requested "
            f"{prompt_tokens} in the prompt{scaled}{wish}. Please shorten one of them.",
            "context_length_exceeded",
            "messages" if chat else "prompt",
        )
    if asked is None and not chat:
        asked = min(DEFAULT_MAX_TOKENS, room)
    natural = tokens.natural_length(seed)
    length, finish = asked or min(natural, room), "length"
    if asked is None and natural <= room:
        finish = "stop"
    cut = tokens.stopped(seed, length, _stops(fields))
    if cut is not None:
        length, finish = cut[0], "stop"
    stream = _boolean(fields, "stream")
    options = fields.get("stream_options") or {}
    if not isinstance(options, dict):
        raise ApiError(400, "stream_options: an object is expected", param="stream_options")
    if options and not stream:
        raise ApiError(400, "stream_options: only with stream", param="stream_options")
    kv = fields.get("kv_transfer_params") or {}
    if not isinstance(kv, dict):
        raise ApiError(400, "kv_transfer_params: an object is expected", param="kv_transfer_params")
    return Completion(
        id=("chatcmpl-" if chat else "cmpl-") + secrets.token_hex(16),
        chat=chat,
        prompt_tokens=prompt_tokens,
        max_tokens=length,
        finish=finish,
        characters=None if cut is None else cut[1],
        seed=seed,
        stream=stream,
        include_usage=_boolean(options, "include_usage"),
        kv=kv,
        fields=fields,
    )


def usage(completion: Completion, generated: int) -> dict[str, int]:
    return {
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": generated,
        "total_tokens": completion.prompt_tokens + generated,
    }


class Chunks:
    """The server-sent events of one answer, one a token. What they have in common is encoded once."""

    def __init__(self, completion: Completion, model: str, created: int) -> None:
        self._completion = completion
        kind = "chat.completion.chunk" if completion.chat else "text_completion"
        self._shared = {"id": completion.id, "object": kind, "created": created, "model": model}
        head = json.dumps(self._shared)[:-1]
        # OpenAI: with include_usage every chunk but the last has a usage of null.
        self._tail = ', "usage": null}\n\n' if completion.include_usage else "}\n\n"
        if completion.chat:
            self._head = f'data: {head}, "choices": [{{"index": 0, "delta": {{'
            self._middle = '}, "logprobs": null, "finish_reason": '
        else:
            self._head = f'data: {head}, "choices": [{{"index": 0, "text": "'
            self._middle = '", "logprobs": null, "finish_reason": '

    def token(self, index: int, finish: str | None = None) -> bytes:
        """Of token ``index``; the last one says why it is the last."""
        word = tokens.word(self._completion.seed, index)
        if self._completion.characters is not None:
            word = word[: max(self._completion.characters - index * tokens.BYTES_PER_TOKEN, 0)]
        reason = f'"{finish}"' if finish else "null"
        if self._completion.chat:
            role = '"role": "assistant", ' if index == 0 else ""
            word = f'{role}"content": "{word}"'
        return f"{self._head}{word}{self._middle}{reason}}}]{self._tail}".encode()

    def closing(self, generated: int) -> bytes:
        """After the last token: usage where it was asked for, and the end mark."""
        end = b"data: [DONE]\n\n"
        if not self._completion.include_usage:
            return end
        last = {**self._shared, "choices": [], "usage": usage(self._completion, generated)}
        return b"data: " + json.dumps(last).encode() + b"\n\n" + end


def whole(completion: Completion, model: str, created: int, kv: dict[str, Any] | None) -> bytes:
    """An answer in one piece."""
    text = tokens.text(completion.seed, completion.max_tokens)[: completion.characters]
    choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": completion.finish}
    if completion.chat:
        choice["message"] = {"role": "assistant", "content": text, "refusal": None}
    else:
        choice["text"] = text
    answer: dict[str, Any] = {
        "id": completion.id,
        "object": "chat.completion" if completion.chat else "text_completion",
        "created": created,
        "model": model,
        "choices": [choice],
        "usage": usage(completion, completion.max_tokens),
    }
    if kv is not None:
        answer["kv_transfer_params"] = kv
    return json.dumps(answer).encode()


def models(limits: Limits, created: int) -> bytes:
    """GET /v1/models, with vLLM's max_model_len."""
    each = {"object": "model", "created": created, "owned_by": "din", "max_model_len": limits.context}
    listed = [{"id": name, **each, "root": name, "parent": None} for name in limits.served_models]
    return json.dumps({"object": "list", "data": listed}).encode()


def _integer(fields: dict[str, Any], name: str, default: int) -> int:
    value = fields.get(name)
    if value is None:
        return default
    # JSON's true is an int to Python.
    if not isinstance(value, int) or isinstance(value, bool):
        raise ApiError(400, f"{name}: a whole number is expected", param=name)
    return value


def _boolean(fields: dict[str, Any], name: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise ApiError(400, f"{name}: true or false is expected", param=name)
    return bool(value)


def _within(fields: dict[str, Any], name: str, most: int) -> None:
    value = fields.get(name)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (number and 0 <= value <= most):
        raise ApiError(400, f"{name}: a number from 0 to {most} is expected", param=name)


def _stops(fields: dict[str, Any]) -> list[str]:
    """Sequences that end the answer, and are no part of it."""
    stop = fields.get("stop")
    stops = [stop] if isinstance(stop, str) else [] if stop is None else stop
    if (
        not isinstance(stops, list)
        or len(stops) > _MOST_STOPS
        or not all(isinstance(each, str) and each for each in stops)
    ):
        raise ApiError(400, f"stop: a text, or up to {_MOST_STOPS} of them, is expected", param="stop")
    return stops


def _asked(fields: dict[str, Any], chat: bool) -> int | None:
    """Tokens that the answer shall have, None: as it comes."""
    name = "max_tokens"
    if chat and fields.get("max_completion_tokens") is not None:
        name = "max_completion_tokens"
    if fields.get(name) is None:
        return None
    value = _integer(fields, name, 0)
    if value < 1:
        raise ApiError(400, f"{name} must be at least 1, got {value}.", param=name)
    return value


def _messages(fields: dict[str, Any], byte_scale: float) -> tuple[int, bytes]:
    """Tokens and text of a chat."""
    messages = fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ApiError(400, "messages: a list of at least one message is expected", param="messages")
    texts: list[str] = []
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise ApiError(400, f"{where}: an object with a role is expected", param=where)
        content = message.get("content")
        parts = content if isinstance(content, list) else [content]
        for part in parts:
            if isinstance(part, dict) and part.get("type") == "text":
                part = part.get("text")
            if part is None and not isinstance(content, list):
                continue  # of an assistant that called tools
            if not isinstance(part, str):
                raise ApiError(400, f"{where}.content: text or a list of text parts is expected", param=where)
            texts.append(part)
    text = "\n".join(texts)
    return max(tokens.count(text, byte_scale), 1), _encode(text)


def _prompt(fields: dict[str, Any], byte_scale: float) -> tuple[int, bytes]:
    """Tokens and text of a plain completion: a string, token IDs, or a list with one of these."""
    prompt = fields.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str | list):
        prompt = prompt[0]
    if isinstance(prompt, str):
        return max(tokens.count(prompt, byte_scale), 1), _encode(prompt)
    if isinstance(prompt, list) and prompt and all(type(token) is int for token in prompt):
        return len(prompt), json.dumps(prompt).encode()
    raise ApiError(400, "prompt: one text, or one list of token IDs, is expected", param="prompt")


def _encode(text: str) -> bytes:
    # JSON may hold a lone surrogate, UTF-8 may not.
    return text.encode(errors="surrogatepass")
