"""``Mask``: secrets are masked however they are spelled, and nothing else is."""

from __future__ import annotations

import base64
import html
import itertools
import json
import random
import re
import urllib.parse

import pytest

from airflow_conda_flow.datastore.logs import read_log
from airflow_conda_flow.records.names import TaskName
from airflow_conda_flow.runner.mask import Mask
from airflow_conda_flow.runner.step_process import LineReader

SECRETS = {
    "plain": "s3cr3t-token-of-23-char",
    "quotes": "it's \"quoted\" and 'so on'",
    "backslashes": "a\\b\\\\c\\n\\",
    "url": "p/a+s s?w=o&r;d%20~!",
    "alphabets": "pässwörd-€-密码-😀",
    "html": "<a href='x'>&amp;</a>",
    "controls": "tab\tand\x1bescape\x7f",
    "symbols": "?!*<>~~~\xff\xfe",
    "short": "a'b",
    "bytes": "not\udcffutf8\udc80'",
}
LINES = "first line of it\nsecond 'line'\n\nlast line €"

SPELLINGS = {
    "as it is": str,
    "repr": repr,
    "ascii": ascii,
    "repr of a dict": lambda value: repr({"token": [value]}),
    "repr of a repr": lambda value: repr(repr(value)),
    "JSON": json.dumps,
    "JSON in UTF-8": lambda value: json.dumps(value, ensure_ascii=False),
    "JSON in JSON": lambda value: json.dumps(json.dumps({"a": json.dumps({"b": value})})),
    "JSON with escaped slashes": lambda value: json.dumps(value).replace("/", "\\/"),
    "JSON in HTML": lambda value: json.dumps(value).replace("<", "\\u003c").replace("&", "\\u0026"),
    "bytes": lambda value: repr(_bytes(value)),
    "bytes in a repr": lambda value: repr(repr(_bytes(value))),
    "quote": lambda value: urllib.parse.quote(_bytes(value)),
    "quote all": lambda value: urllib.parse.quote(_bytes(value), safe=""),
    "quote_plus": lambda value: urllib.parse.quote_plus(_bytes(value)),
    "quote with others left": lambda value: urllib.parse.quote(_bytes(value), safe="!#$&'()*+,/:;=?@[]~"),
    "quote in lower case": lambda value: _lower(urllib.parse.quote_plus(_bytes(value))),
    "quote twice": lambda value: urllib.parse.quote(urllib.parse.quote(_bytes(value), safe=""), safe=""),
    "HTML": html.escape,
    "HTML of a repr": lambda value: html.escape(repr(value)),
    "XML": lambda value: value.encode("ascii", "xmlcharrefreplace").decode(),
    "unicode_escape": lambda value: value.encode("unicode_escape").decode(),
}


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")


def _lower(quoted: str) -> str:
    return "".join(
        each.lower()
        if quoted[max(i - 2, 0) : i + 1].startswith("%") or quoted[max(i - 1, 0)] == "%"
        else each
        for i, each in enumerate(quoted)
    )


def _without_quotes(text: bytes) -> bytes:
    """Without those that a repr chooses according to what is in it, and their escapes."""
    return re.sub(rb"\\|'|\"|&quot;|&#x27;", b"", text)


def masked(secret: str, text: str | bytes) -> bytes:
    mask = Mask()
    mask.hide([secret])
    return mask.data(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_in_each_spelling(secret, spelling):
    """Nothing but *** and what surrounds it is left."""
    value = SECRETS[secret]
    around = SPELLINGS[spelling]("x123")
    try:
        text = SPELLINGS[spelling](value)
    except UnicodeEncodeError:
        pytest.skip("a value that has no such spelling")
    found = masked(value, f"before {text} after")
    opening, closing = around.split("x123")
    assert _without_quotes(found) == _without_quotes(f"before {opening}***{closing} after".encode())


@pytest.mark.parametrize("before", range(7))
@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode], ids=["standard", "urlsafe"])
@pytest.mark.parametrize("secret", sorted(SECRETS.keys() - {"short"}))
def test_base64(secret, encode, before, after):
    """Alone and amid other bytes, whatever their number: no byte of the secret can be decoded any more."""
    value = _bytes(SECRETS[secret])
    data = bytes(range(200, 200 + before)) + value + bytes(range(100, 100 + after))
    for text in (
        encode(data),
        urllib.parse.quote_plus(encode(data)).encode(),
        json.dumps(encode(data).decode()).encode(),
    ):
        found = masked(SECRETS[secret], b"before " + text + b" after")
        assert found.count(b"***") == 1
        left = found.replace(b"before ", b"").replace(b" after", b"").strip(b'"')
        start, _, end = left.partition(b"***")
        # Of the letters that are left, none says more than a bit of the secret's first and last byte.
        assert len(start) * 6 // 8 <= before
        assert len(urllib.parse.unquote(end.decode()).rstrip("=")) * 6 // 8 <= after


def in_lines(text: str, width: int, end: str = "\n") -> str:
    return "".join(text[i : i + width] + end for i in range(0, len(text), width))


BREAKS = {
    "newline": str,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "indented": lambda text: text.replace("\n", "\n    "),
    "repr": repr,
    "JSON": lambda text: json.dumps({"a": text.replace("\n", "\r\n")}),
    "repr of JSON": lambda text: repr(json.dumps(text)),
    "URL": urllib.parse.quote_plus,
}
KEY = "\n".join(["-----BEGIN KEY-----", *("".join(map(chr, range(48 + i, 112 + i))) for i in range(9))])


ENCODINGS = {
    "base64": lambda data: base64.b64encode(data).decode(),
    "urlsafe": lambda data: base64.urlsafe_b64encode(data).decode(),
    "hex": bytes.hex,
}


def certain(encoding: str, before: int, size: int) -> tuple[int, int]:
    """Where the letters are that depend on the secret alone: so many bytes after as many others."""
    bits = 4 if encoding == "hex" else 6
    return -(-before * 8 // bits), (before + size) * 8 // bits


@pytest.mark.parametrize("breaks", BREAKS)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("secret", [*sorted(SECRETS.keys() - {"short"}), "key"])
def test_digits_that_are_broken_into_lines(secret, encoding, breaks):
    """Wherever the breaks are, no letter of the secret is left, and the lines are as many."""
    value = SECRETS.get(secret, KEY)
    mask = Mask()
    mask.hide([value])
    others = re.compile(r"\*|\s|[\"{}:']|\\+[rn]|%0[AD]")
    start = "a" if breaks == "JSON" else ""
    for before, width in itertools.product(range(40, 58, 4), (16, 60, 64, 76)):
        letters = ENCODINGS[encoding](b"." * before + _bytes(value) + b"." * 30)
        broken = BREAKS[breaks](in_lines(letters, width))
        found = mask.data(f"before {broken} after".encode()).decode()
        assert found.count("\n") == broken.count("\n")
        first, stop = certain(encoding, before, len(_bytes(value)))
        allowed = {
            f"before{start}{letters[:i]}{letters[j:].replace('=', quoted)}after"
            for i in (first - 1, first)
            for j in (stop, stop + 1)
            for quoted in ("=", "%3D")
        }
        assert others.sub("", found) in allowed


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("secret", ["plain", "symbols", "key"])
def test_broken_lines_that_arrive_one_by_one(secret, encoding):
    """At most two letters are left of it, though each line is passed on before the next one is there."""
    value = SECRETS.get(secret, KEY)
    mask = Mask()
    mask.hide([value])
    for before in range(40, 58):
        letters = ENCODINGS[encoding](b"." * before + _bytes(value) + b"." * 30)
        left = b""
        for line in in_lines(letters, 64).encode().splitlines(keepends=True):
            (found,) = mask.lines([line], "stdout")
            assert found.endswith(b"\n")
            assert mask.lines([b"words on the other stream\n"], "stderr") == [b"words on the other stream\n"]
            left += found.strip().replace(b"***", b"")
        first, stop = certain(encoding, before, len(_bytes(value)))
        allowed = {letters[:i] + letters[j:] for i in range(first - 1, first + 3) for j in (stop, stop + 1)}
        assert left.decode() in allowed
        assert mask.lines([b"later\n"], "stdout") == [b"later\n"]


@pytest.mark.parametrize("secret", sorted(SECRETS.keys() - {"short"}))
def test_hexadecimal(secret):
    """Digits in either case, alone and amid those of other bytes; of a short secret they are like other digits."""
    digits = _bytes(SECRETS[secret]).hex()
    for text in (digits, digits.upper(), f"7b{digits}7d", json.dumps({"a": digits})):
        found = masked(SECRETS[secret], f"before {text} after")
        assert found.replace(b"***", digits.encode()).lower() == f"before {text.lower()} after".encode()
    assert masked("a'b", b"a'b".hex()) == b"a'b".hex().encode()


@pytest.mark.parametrize("encode", [json.dumps, repr, ascii])
def test_base64_of_json(encode):
    """As authors of configuration files write them."""
    value = SECRETS["quotes"] + "é"
    text = base64.b64encode(json.dumps({"user": "me", "password": value}).encode()).decode()
    found = masked(value, encode(text))
    assert b"***" in found
    assert base64.b64encode(b"quoted")[:-2] not in found


def test_a_secret_of_several_lines():
    """Each line is masked, in every spelling; so is base64 of the whole."""
    for spell in (str, repr, json.dumps, urllib.parse.quote):
        text = masked(LINES, spell(LINES)).decode()
        assert text.count("***") == 3
        for word in ("first", "second", "last"):
            assert word not in text
    whole = masked("ab\ncd\nef", base64.b64encode(b"ab\ncd\nef"))
    assert whole == b"***"


def test_short_values():
    """Two characters are not masked; five are, but not in base64."""
    assert masked("ab", "abc") == b"abc"
    assert masked("abcde", b"abcde " + base64.b64encode(b"abcde")) == b"*** YWJjZGU="
    assert masked("abcdef", base64.b64encode(b"abcdef")) == b"***"


def test_secrets_within_secrets():
    """The longer one is masked whole, wherever the shorter one is in it; neighbours are masked each."""
    mask = Mask()
    mask.hide(["token", "token-of-mine", "my-token", "mine-too"])
    assert mask.data(b"my-token-of-mine-too token-of-mine tokentoken") == b"*** *** ******"


def test_other_texts_are_left_alone():
    """Also those with parts of the secret."""
    mask = Mask()
    mask.hide(SECRETS.values())
    for text in (
        b"",
        b"\n",
        b"s3cr3t-token-of-23-cha",
        b"token\xff\xfe\x00",
        b"\\\\\\",
        base64.b64encode(b"s3cr3t-tok"),
    ):
        assert mask.data(text) == text
    mask.hide([])
    assert mask.data(b"s3cr3t-token-of-23-char") == b"s3cr3t-token-of-23-char"


def test_a_text_of_backslashes_takes_no_time():
    """A secret of many of them is no trap for the regular expression."""
    assert masked("\\" * 40 + "'x", b"\\" * 100_000) == b"\\" * 100_000


def test_an_exception():
    """Its texts are masked, also if they are no valid UTF-8."""
    mask = Mask()
    mask.hide(["se'cret€"])
    record = {
        "type": "E",
        "full_type": "a.E",
        "message": 'KeyError("se\'cret€") \ud800',
        "traceback": 'b"se\'cret\\xe2\\x82\\xac"',
    }
    assert mask.exception(record) == {
        "type": "E",
        "full_type": "a.E",
        "message": 'KeyError("***") \ud800',
        "traceback": 'b"***"',
    }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("text", ["s3cr3t-token-of-23-char", "it's a \\secret\\ €"])
def test_no_cut_is_within_a_secret(text, seed):
    """A line without end, which comes in pieces of any size and is passed on in pieces."""
    chance = random.Random(seed)
    mask = Mask()
    mask.hide([text])
    spelled = [
        text,
        json.dumps(text)[1:-1],
        urllib.parse.quote(text),
        base64.b64encode(text.encode()).decode(),
    ]
    parts = [chance.choice([*spelled, *spelled, " ", "=" * chance.randint(1, 40)]) + "|" for _ in range(3000)]
    line = "".join(parts).encode() + b"\n"
    reader = LineReader(2000, mask.cut)
    got, place = [], 0
    while place < len(line):
        size = chance.randint(1, 900)
        got += list(reader.feed(line[place : place + size]))
        place += size
    got.append(reader.rest())
    assert b"".join(got) == line
    assert max(map(len, got)) <= 2900
    assert len(got) > 10
    assert b"".join(map(mask.data, got)) == mask.data(line)
    assert mask.data(line).count(b"***") == sum(part[:-1] in spelled for part in parts)


SECRETIVE = """
from airflow_conda_flow import secrets
SOURCE = {"type": "inline", "id": "x", "options": {"env_vars": {"TOKEN": "s3cr3t-token-of-23-char"}}}

class AFlow(FlowSpec):
    @secrets(sources=[SOURCE])
    @step
    def start(self):
        import os, sys, time
        token = os.environ["TOKEN"]
        BODY
        self.next(self.end)
    @step
    def end(self):
        pass
"""


@pytest.mark.parametrize(
    ("body", "size"),
    [
        ("print(token * 400_000, end='')", 400_000 * 3),
        ("print(token * 400_000)", 400_000 * 3 + 1),
        (
            "sys.stdout.write('x' * (2**20 - 10) + token); sys.stdout.flush(); print('y' * 2**20)",
            2 * 2**20 - 6,
        ),
        ("for part in (token[:9], token[9:]): os.write(1, part.encode()); time.sleep(0.3)", 3),
    ],
)
def test_a_long_line_in_a_steps_log(make_run, datastore, body, size):
    """No whole secret is in the stored log, nor a part of one; everything else is."""
    run = make_run(SECRETIVE.replace("BODY", body))
    run.done("start")
    log = read_log(datastore.storage, TaskName("AFlow", "1", "start", "0").attempt(0), "stdout")
    assert len(log) == size
    assert set(log) <= set(b"*xy\n")
    assert set("".join(run.printed())) <= set("*xy")


def test_base64_in_lines_in_a_steps_log(make_run, datastore):
    """Printed at once, line by line, and by a program: no part of the secret can be decoded."""
    body = """import base64, subprocess
        data = b"x" * 40 + token.encode() + b"y" * 40
        print(base64.encodebytes(data).decode())
        for line in base64.encodebytes(data).decode().splitlines():
            print(line, flush=True)
            time.sleep(0.05)
        subprocess.run(["base64", "-w", "64"], input=data)"""
    run = make_run(SECRETIVE.replace("BODY", body))
    run.done("start")
    log = read_log(datastore.storage, TaskName("AFlow", "1", "start", "0").attempt(0), "stdout")
    assert log.count(b"***") >= 3
    left = b"".join(log.replace(b"***", b"").split())
    token = b"s3cr3t-token-of-23-char"
    for i, before in itertools.product(range(len(token) - 8), range(3)):
        assert base64.b64encode(bytes(before) + token[i : i + 9])[4:-4] not in left


def test_what_a_manifest_shows_as_text(make_run, datastore):
    """The names of splits, and the previews of artifacts, also of one that is cut; the values are what they are."""
    run = make_run(
        """
        from airflow_conda_flow import catch, secrets
        TOKEN = "s3cr3t-token-of-23-char"
        SOURCE = {"type": "inline", "id": "x", "options": {"env_vars": {"TOKEN": TOKEN}}}
        class AFlow(FlowSpec):
            @secrets(sources=[SOURCE])
            @step
            def start(self):
                self.items = [TOKEN, "b"]
                self.x = "a " + TOKEN
                self.cut = "a" * 68 + TOKEN
                self.next(self.body, foreach="items")
            @secrets(sources=[SOURCE])
            @catch(var="why")
            @step
            def body(self):
                self.y = TOKEN
                raise ValueError(TOKEN)
                self.next(self.join)
            @step
            def join(self, inputs):
                self.next(self.end)
            @step
            def end(self):
                pass
        """
    )
    done = run.done("start")
    record = done.record
    assert record.transition["split_names"] == ["***", "b"]
    assert record.artifacts["x"]["preview"] == "'a ***'"
    assert record.artifacts["cut"]["preview"] == f"'{'a' * 68}***…"
    assert run.value(done, "x") == "a s3cr3t-token-of-23-char"
    run.done("body", 0)
    for key in datastore.storage.list_keys("flows/"):
        if not key.endswith("run.json"):
            assert b"s3cr3t" not in datastore.storage.read_bytes(key), key
