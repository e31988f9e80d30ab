"""Where nothing is sent to, however it is written."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from ipaddress import ip_network
from pathlib import Path

import pytest

from core.alerts.delivery import Allowed, allowed_targets
from core.alerts.delivery.addresses import resolve
from core.alerts.delivery.guarding import Forbidden, guarded
from core.errors import DeliveryError, SettingsError
from core.settings import load_settings
from tests.sent import HERE, PUBLIC, names

PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "169.254.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "192.88.99.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:7f00:1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    # 10.0.0.1 where a network of 48 bits is translated, with a public address behind it.
    "64:ff9b:1:a00:0:100:808:808",
    "64:ff9b:1::808:808",
    "4000::1",
    "::ffff:0:0:808:808",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:c0a8:1::",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd00::1",
    "ff02::1",
    "ff0e::1",
    "2001::1",
    "2001:db8::1",
    "100::1",
    "3fff::1",
    "5f00::1",
    "2001:10::1",
    "::ffff:0:127.0.0.1",
    "::a00:1",
    "not-an-address",
]
WORLD = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]
# All of these are ways to write 127.0.0.1 or 0.0.0.0 that a resolver understands.
SPELLED = [
    "127.1",
    "2130706433",
    "0x7f.1",
    "0x7f000001",
    "0177.0.0.1",
    "0",
    "localhost",
    "017700000001",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_of_the_whole_world_is_refused(address: str) -> None:
    assert PUBLIC.why_not(address)
    with pytest.raises(DeliveryError, match="not sent"):
        PUBLIC.check(address)


@pytest.mark.parametrize("address", WORLD)
def test_a_public_address_may_be_connected_to(address: str) -> None:
    assert PUBLIC.why_not(address) is None


@pytest.mark.parametrize("host", SPELLED)
def test_no_spelling_of_this_machine_gets_through(host: str) -> None:
    with pytest.raises((DeliveryError, LookupError)):
        resolve(host, 80, PUBLIC)


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        names(monkeypatch, mixed_example="93.184.216.34 10.0.0.7"),
        pytest.raises(DeliveryError, match=r"10\.0\.0\.7 is not a public address"),
    ):
        resolve("mixed.example", 443, PUBLIC)


def test_a_private_network_is_allowed_by_setting_and_no_more_than_it() -> None:
    settings = load_settings({"CRYPTOSATX_PRIVATE_TARGETS": "10.1.0.0/16, 127.0.0.1"})
    allowed = allowed_targets(settings)
    assert allowed.why_not("10.1.2.3") is None
    assert allowed.why_not("::ffff:127.0.0.1") is None
    assert allowed.why_not("10.2.0.1")
    assert allowed.why_not("127.0.0.2")
    assert allowed.why_not("169.254.169.254")
    with pytest.raises(SettingsError, match=r"10\.1\.0\.0/16"):
        load_settings({"CRYPTOSATX_PRIVATE_TARGETS": "my network"})


def test_a_name_service_that_does_not_answer_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given_up = threading.Event()

    def never_answer(*_: object, **__: object) -> list[object]:
        given_up.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", never_answer)
    with pytest.raises(LookupError, match="could not be looked up in time"):
        resolve("slow.example", 443, PUBLIC, seconds=0.05)
    assert not given_up.is_set()
    given_up.set()


def test_a_host_without_an_address_says_so() -> None:
    with pytest.raises(LookupError, match=r"no address of nowhere\.invalid"):
        resolve("nowhere.invalid", 443, PUBLIC)
    with pytest.raises(LookupError):
        resolve("a" * 70 + ".example", 443, PUBLIC)


def test_guarded_code_connects_to_no_private_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with guarded(PUBLIC) as refused:
            with pytest.raises(OSError, match="not a public address"):
                socket.create_connection(address)
            with socket.socket() as one, pytest.raises(Forbidden):
                one.connect_ex(address)
            with socket.socket(type=socket.SOCK_DGRAM) as one, pytest.raises(Forbidden):
                one.sendto(b"x", address)
            with socket.socket() as one, pytest.raises(Forbidden):
                one.bind(("127.0.0.1", 8_099))
        assert len(refused) == 4
        with guarded(HERE):
            socket.create_connection(address).close()
        socket.create_connection(address).close()


def test_guarded_code_reads_no_file_of_ours_and_starts_no_program(tmp_path: Path) -> None:
    secret = tmp_path / "secret.key"
    secret.write_text("planted")
    link = tmp_path / "link"
    link.symlink_to(secret)
    with guarded(PUBLIC):
        for path in (secret, link, Path("/etc/passwd"), Path("/proc/self/environ")):
            with pytest.raises(Forbidden):
                path.read_text()
        with pytest.raises(Forbidden):
            (tmp_path / "new").write_text("x")
        with pytest.raises(Forbidden):
            Path(pytest.__file__).write_text("x")
        with pytest.raises(Forbidden):
            subprocess.run(["true"], check=False)
        with pytest.raises(Forbidden):
            os.system("true")
        with socket.socket(socket.AF_UNIX) as one, pytest.raises(Forbidden):
            one.connect(str(tmp_path / "socket"))
        assert "import" in Path(pytest.__file__).read_text()
    assert secret.read_text() == "planted"


def test_a_network_of_the_other_version_allows_nothing() -> None:
    assert Allowed([ip_network("::/0")]).why_not("10.0.0.1")
    assert Allowed([ip_network("0.0.0.0/0")]).why_not("fd00::1")
