"""Places that are taken at no cost, and guesses that lock others out."""

from .lines import Line, pump, take_answers

PLACES = 10_000
HANDSHAKES = 20_000
SEND_SECONDS = 10
GUESSES = 100
# A password of 128 bits, which cannot be guessed.
PASSWORD = "c0ffee00c0ffee00c0ffee00c0ffee00"
BEARER = f"Authorization: Bearer {PASSWORD}\r\n"


def pipelined(attack, request_of):
    """Pipelines handshakes on one connection. Their answers are read and dropped."""
    attack.begin()
    line = attack.line()
    pump([line], b"".join(map(request_of, range(attack.count(HANDSHAKES, PLACES + 1_000)))), SEND_SECONDS)
    take_answers([line], SEND_SECONDS)
    attack.hold(least=3, must_end=False)


def polling(attack):
    pipelined(attack, lambda _: b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n")


def sockjs(attack):
    pipelined(attack, lambda turn: b"POST /turted/0/%d/xhr HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" % turn)


def guesses(attack):
    """Sends wrong passwords, then the right one from the same address."""
    attack.begin()
    line = attack.line()
    for turn in range(attack.count(GUESSES, 20)):
        status, _ = line.ask("POST", "/push/", b"{}", f"Authorization: Bearer {turn:032}\r\n")
        if status == 429:
            attack.drop(line)
            line = attack.line()
    right = attack.line(Line)
    status, _ = right.ask("POST", "/push/", b'{"event":"E","targets":{"users":["u"]}}', BEARER)
    attack.check(f"the right password behind {GUESSES} wrong ones: {status}", status == 200)
    attack.hold(least=0)
