"""Output URIs: what they mean, and one line for whatever is wrong with one."""

from pathlib import Path

import pytest

from edge.outputs.mqtt.settings import PASSWORD_VARIABLE
from edge.outputs.uri import Address, FileOptions, MqttOptions, Options, parse, parse_all
from firmware_bridge.errors import Exit, Failure


@pytest.mark.parametrize(
    ("text", "target", "options"),
    [
        ("json:-", "-", Options()),
        ("json:-?rate=2.5", "-", Options(rate=2.5)),
        ("json:out.json", Path("out.json"), FileOptions()),
        ("json:/a/b c?rotate_mb=10&keep=3&rate=1", Path("/a/b c"), FileOptions(rotate_mb=10, keep=3, rate=1)),
        ("csv:100%.csv", Path("100%.csv"), FileOptions()),
        ("csv:a:b@c#d", Path("a:b@c#d"), FileOptions()),
        ("mqtt://pi", Address("pi", 1883), MqttOptions()),
        ("mqtts://pi", Address("pi", 8883), MqttOptions()),
        ("mqtt://pi:1884/home/beds/", Address("pi", 1884, None, "home/beds"), MqttOptions()),
        ("mqtt://us%40er@[fe80::1]/b", Address("fe80::1", 1883, "us@er", "b"), MqttOptions()),
        ("mqtt://pi:1883/beds@home", Address("pi", 1883, None, "beds@home"), MqttOptions()),
        (
            "mqtts://pi?cafile=ca.pem&discovery=off&keypoints_hz=0&state_every_s=5",
            Address("pi", 8883),
            MqttOptions(cafile=Path("ca.pem"), discovery="off", keypoints_hz=0, state_every_s=5),
        ),
        ("http://127.0.0.1:8765", Address("127.0.0.1", 8765), Options()),
        ("http://[::1]:0/?rate=5", Address("::1", 0), Options(rate=5)),
        ("udp://Host:9000?rate=5", Address("host", 9000), Options(rate=5)),
    ],
)
def test_a_uri_says_scheme_target_and_options(text: str, target: object, options: Options) -> None:
    uri = parse(text)
    assert (uri.text, uri.scheme, uri.target, uri.options) == (text, text.partition(":")[0], target, options)
    assert type(uri.options) is type(options)


def test_a_path_may_begin_with_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/mat")
    assert parse("json:~/out.json").target == Path("/home/mat/out.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no scheme: write json:PATH"),
        ("out.json", "no scheme: write json:PATH"),
        ("mqt://pi", "unknown scheme mqt, did you mean mqtt?"),
        ("https://127.0.0.1:1", "unknown scheme https, did you mean http?"),
        ("/dev/ttyUSB0:x", "unknown scheme /dev/ttyUSB0: write json:PATH"),
        ("json:", "no path: write json:PATH, or json:- for stdout"),
        ("json:?rate=1", "no path: write json:PATH, or json:- for stdout"),
        ("json:///tmp/out", "the path begins with //: write json:/tmp/out"),
        ("csv:", "no path: write csv:PATH"),
        ("csv:-", "no path: write csv:PATH"),
        ("json:-?rate=fast", "rate=fast: give poses a second at most, a number above 0 up to 1000"),
        ("json:-?rate=0", "rate=0: give poses a second"),
        ("json:-?rate=-1", "rate=-1: give poses a second"),
        ("json:-?rate=1e300", "rate=1e300: give poses a second"),
        ("json:-?rate=inf", "rate=inf: give poses a second"),
        ("json:-?rate=nan", "rate=nan: give poses a second"),
        ("json:-?rate=", "rate=: give poses a second"),
        ("json:-?rate", "rate=: give poses a second"),
        ("json:-?rate=1&rate=2", "an option is given twice"),
        ("json:-?keep=3", "unknown option keep: it takes rate"),
        ("json:a?rotate=3", "unknown option rotate, did you mean rotate_mb?: it takes rate, rotate_mb, keep"),
        ("json:a?keep=0", "keep=0: give older files that are kept, 1 to 999"),
        ("json:a?keep=1.5", "keep=1.5: give older files"),
        ("csv:a?rotate_mb=10MB", "rotate_mb=10MB: give 10^6 bytes before a new file begins, a number above 0"),
        ("http://127.0.0.1", "no port: write http://127.0.0.1:8765"),
        ("http://:8765", "no host: write http://127.0.0.1:8765"),
        ("http:127.0.0.1:8765", "no address: write http://127.0.0.1:8765"),
        ("http://127.0.0.1:8765/live", "http takes host and port alone"),
        ("http://me@127.0.0.1:8765", "http takes host and port alone"),
        ("http://127.0.0.1:http", "Port could not be cast to integer value as 'http': write http://"),
        ("http://127.0.0.1:65536", "Port out of range 0-65535: write http://"),
        ("http://[::1:80", "Invalid IPv6 URL: write http://"),
        ("udp://127.0.0.1", "no port: write udp://host:9000"),
        ("udp://127.0.0.1:0", "port 0 is none: write udp://host:9000"),
        ("udp://127.0.0.1:9/x", "udp takes host and port alone"),
        ("udp://a b:9", "no address: write udp://host:9000"),
        ("udp://a..b:9", "a..b is no host: write udp://host:9000"),
        ("mqtt:pi", "no address: write mqtt://host/base"),
        ("mqtt://", "no host: write mqtt://host/base"),
        ("mqtt://pi/beds/+", "base beds/+ is no topic"),
        ("mqtt://pi/beds/#", "no address: write mqtt://host/base"),
        ("mqtt://pi/$SYS", "base $SYS is no topic"),
        ("mqtt://pi?state_every_s=0", "state_every_s=0: give seconds between states, a number above 0"),
        ("json:a\nb", "it holds a line end or another character that nobody sees"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_that_names_the_uri_the_part_and_what_was_expected(
    text: str, said: str
) -> None:
    with pytest.raises(Failure) as refused:
        parse(text)
    shown = text if text.isprintable() else ascii(text)
    assert str(refused.value).startswith(f"output {shown}: {said}")
    assert "\n" not in str(refused.value)
    assert refused.value.code == Exit.USAGE


@pytest.mark.parametrize("scheme", ["mqtt", "mqtts", "http", "udp"])
@pytest.mark.parametrize("password", ["geheim", "ge:heim", "ge/heim", "ge@heim", "ge#heim", "ge?heim", "1234", ""])
@pytest.mark.parametrize("user", ["me", ""])
def test_a_password_is_refused_with_the_way_to_give_it_and_never_shown(scheme: str, password: str, user: str) -> None:
    with pytest.raises(Failure) as refused:
        parse(f"{scheme}://{user}:{password}@pi:1883/base?rate=fast")
    said = str(refused.value)
    assert said.startswith(f"output {scheme}://{user}:***@pi:1883/base?rate=fast: ")
    assert (PASSWORD_VARIABLE if scheme.startswith("mqtt") else "leave it out") in said
    assert password not in said.replace("1883", "") or not password
    assert refused.value.code == Exit.USAGE


@pytest.mark.parametrize("option", ["password", "pass", "token"])
def test_a_secret_among_the_options_is_not_shown_either(option: str) -> None:
    with pytest.raises(Failure) as refused:
        parse(f"mqtt://pi?rate=1&{option}=geheim&keep=2")
    assert f"mqtt://pi?rate=1&{option}=***&keep=2: everybody can see the password" in str(refused.value)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    "texts",
    [
        ["json:-", "json:-?rate=1"],
        ["json:out", "csv:./out"],
        ["json:out", "json:link"],
        ["http://127.0.0.1:8765", "http://0.0.0.0:8765"],
        ["udp://pi:9", "udp://PI:9"],
        ["mqtt://pi/beds", "mqtts://pi:1883/beds/"],
        ["mqtt://pi", "mqtt://pi/edge-run"],
        ["mqtt://me@pi/beds", "mqtt://pi/beds"],
    ],
)
def test_two_outputs_to_the_same_place_are_refused(
    texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("out")
    with pytest.raises(Failure, match="write to the same place: leave one out") as refused:
        parse_all(["csv:other", *texts])
    assert refused.value.code == Exit.USAGE
    assert all(text in str(refused.value) for text in texts)


def test_outputs_to_different_places_go_together() -> None:
    texts = ["json:-", "json:a", "csv:b", "http://[::1]:0", "http://[::1]:0", "udp://pi:9", "udp://pi:10", "udp://po:9"]
    texts += ["mqtt://pi", "mqtt://pi/beds", "mqtts://pi", "mqtt://pi:9"]
    assert [uri.text for uri in parse_all(texts)] == texts
