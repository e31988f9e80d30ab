"""What is shipped: the image, the composition around it, and what is looked for in both."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import urllib.request
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
import yaml

from core.production import missing_for_production
from core.settings import Settings, load_settings, unknown_settings
from tests import bill, holes

ROOT = Path(__file__).resolve().parents[1]


def instructions() -> list[tuple[str, str]]:
    """The lines of the Dockerfile as instruction and arguments, continued lines in one."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def of(kind: str) -> list[str]:
    return [rest for word, rest in instructions() if word == kind]


def test_the_image_is_built_of_named_versions_and_runs_as_nobody_s_root() -> None:
    bases = [line.split(" AS ")[0] for line in of("FROM")]
    assert set(bases) == {"python:3.11-slim-trixie"}
    last = [word for word, _ in instructions()]
    assert last.index("USER") > max(n for n, word in enumerate(last) if word == "COPY")
    (user,) = of("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    assert not of("ADD")
    assert not any(re.search("sudo|chmod 777|curl|wget", line) for line in of("RUN"))
    assert not any("SECRET" in line or "PASSWORD" in line for line in [*of("ENV"), *of("ARG")])
    for line in of("RUN"):
        if "apt-get install" in line:
            assert "--no-install-recommends" in line
            assert "rm -rf /var/lib/apt/lists/*" in line
        if "pip install" in line:
            assert "--constraint requirements.lock" in line
    (checked,) = of("HEALTHCHECK")
    assert "/health" in checked


def copied() -> set[str]:
    lines = [shlex.split(line) for line in of("COPY") if not line.startswith("--from")]
    return {source for line in lines for source in line[:-1]}


def test_everything_that_is_copied_exists_and_is_let_through() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    let_through = {line[1:] for line in ignore if line.startswith("!")}
    assert "*" in ignore
    assert copied() == let_through
    for source in copied():
        assert (ROOT / source).exists(), source
    assert not {"data", ".git", "secrets", "tests"} & let_through


def test_the_image_s_environment_is_one_of_settings() -> None:
    text = " ".join(of("ENV"))
    given = dict(pair.split("=", 1) for pair in shlex.split(text))
    assert unknown_settings(given) == []
    assert given["CRYPTOSATX_DATA"] == "/data"
    (volumes,) = of("VOLUME")
    assert json.loads(volumes) == ["/data", "/backups"]


def composition() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return found


def test_every_container_may_do_little() -> None:
    services = composition()["services"]
    assert set(services) == {"proxy", "dashboard-1", "dashboard-2", "worker", "database"}
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["pids_limit"] <= 512, name
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, name
        assert not service.get("privileged"), name
        assert re.search(r":\d", service["image"]), f"{name} has no version"
        assert not re.search(r":latest$", service["image"]), name
        assert service["logging"]["options"]["max-size"], name
    assert [name for name, one in services.items() if one.get("ports")] == ["proxy"]


def test_the_image_has_the_version_of_the_product() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert version is not None
    images = {one["image"] for name, one in composition()["services"].items() if name != "database"}
    assert f"cryptosatx:{version[1]}" in images


def test_no_secret_is_written_down_in_the_composition() -> None:
    found = composition()
    services = found["services"]
    named = {name for one in services.values() for name in one.get("secrets", ())}
    assert named == set(found["secrets"])
    assert all(set(secret) == {"file"} for secret in found["secrets"].values())
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            assert not re.search("KEY|PASSPHRASE|DATABASE_URL|PASSWORD$", name), name
            assert "://" not in str(value) or name == "CRYPTOSATX_URL"
    known = {str(field.validation_alias).lower() for field in Settings.model_fields.values()}
    assert set(services["worker"]["secrets"]) <= known
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/secrets/", ".env"} <= set(ignored)


def test_the_database_is_reached_by_nobody_else() -> None:
    found = composition()
    assert found["services"]["database"]["networks"] == ["inside"]
    assert found["networks"]["inside"]["internal"] is True
    assert "inside" not in found["services"]["proxy"]["networks"]
    used = {v.split(":")[0] for one in found["services"].values() for v in one["volumes"]}
    assert {name for name in used if not name.startswith(".")} == set(found["volumes"])
    for name in used:
        assert not name.startswith(".") or (ROOT / name).is_file()


def composed(service: str, tmp_path: Path) -> dict[str, str]:
    """The environment of a service, with the secrets that it is given as files."""
    told = composition()["services"][service]
    secrets = {
        "database_url": "postgresql://cryptosatx:pw@database/cryptosatx",
        "cryptosatx_secret_key": "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=",
        "cryptosatx_backup_passphrase": "correct horse battery",
    }
    for name in told["secrets"]:
        (tmp_path / name).write_text(secrets[name])
    host = "signals.example"
    given = {
        name: re.sub(r"\$\{CRYPTOSATX_HOST[^}]*\}", host, str(value))
        for name, value in told["environment"].items()
    }
    return {**given, "CRYPTOSATX_SECRETS_DIR": str(tmp_path), "CRYPTOSATX_DATA": str(tmp_path)}


@pytest.mark.parametrize("service", ["dashboard-1", "worker"])
def test_what_is_composed_starts_in_production(service: str, tmp_path: Path) -> None:
    environ = composed(service, tmp_path)
    assert unknown_settings(environ) == []
    settings = load_settings(environ)
    assert settings.env == "production"
    assert missing_for_production(settings) == []
    assert settings.worker is False


def test_the_proxy_has_the_address_that_is_trusted_and_keeps_browsers_where_they_are(
    tmp_path: Path,
) -> None:
    found = composition()
    address = found["services"]["proxy"]["networks"]["edge"]["ipv4_address"]
    assert load_settings(composed("worker", tmp_path)).trusted_proxies == (address,)
    caddy = (ROOT / "docs/deploy/Caddyfile").read_text()
    (to,) = re.findall(r"reverse_proxy ([^{]+) \{", caddy)
    assert to.split() == [f"{name}:8501" for name in found["services"] if "dashboard" in name]
    assert "lb_policy cookie" in caddy
    # Not /health, which says no while the database is away: pages go on then.
    assert re.findall(r"health_uri (\S+)", caddy) == ["/health/live"]
    assert set(re.findall(r"header_up -(\S+)", caddy)) == {
        "X-Request-ID",
        "Traceparent",
        "Tracestate",
    }


def test_nobody_else_is_given_the_address_of_the_proxy() -> None:
    found = composition()
    (pool,) = found["networks"]["edge"]["ipam"]["config"]
    address = ip_address(found["services"]["proxy"]["networks"]["edge"]["ipv4_address"])
    assert address in ip_network(pool["subnet"])
    assert ip_network(pool["ip_range"]).subnet_of(ip_network(pool["subnet"]))
    assert address not in ip_network(pool["ip_range"])


def test_an_operator_hears_of_much_memory_before_a_service_is_ended_for_it() -> None:
    rules = yaml.safe_load((ROOT / "docs/deploy/prometheus/rules.yaml").read_text())
    (rule,) = [
        one
        for group in rules["groups"]
        for one in group["rules"]
        if one["alert"] == "CryptosatxMemory"
    ]
    (told_at,) = re.findall(r"> ([\d.e]+)$", rule["expr"])
    for name in ("dashboard-1", "dashboard-2", "worker"):
        limit = composition()["services"][name]["deploy"]["resources"]["limits"]["memory"]
        assert float(told_at) < 0.9 * int(limit.removesuffix("g")) * 2**30


def test_the_image_s_command_serves_from_what_is_copied_alone(tmp_path: Path) -> None:
    app = tmp_path / "app"
    for source in copied():
        target = app / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / source, target)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (command,) = of("CMD")
    words = json.loads(command)
    programs = Path(sys.executable).parent
    environ = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CRYPTOSATX_DATA": str(tmp_path / "data"),
        "CRYPTOSATX_MARKET": "demo",
        "CRYPTOSATX_WORKER": "off",
        "STREAMLIT_SERVER_PORT": str(port),
    }
    before = sorted(path for path in app.rglob("*"))
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(words, cwd=app, env=environ, stdout=log, stderr=log)
    try:
        assert answers(f"http://127.0.0.1:{port}/health", process), (tmp_path / "log").read_text()
    finally:
        process.terminate()
        process.wait(20)
    # The root of the container is read-only.
    assert sorted(path for path in app.rglob("*")) == before


def answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    until = monotonic() + 60
    while monotonic() < until and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
        sleep(0.2)
    return False


def test_a_finding_without_a_reason_and_a_reason_without_a_finding_are_faults() -> None:
    found = [
        {"test_id": "B602", "filename": "./core/a.py", "line_number": 3, "issue_text": "shell"}
    ]
    assert list(holes.unexplained(found, {})) == ["core/a.py:3: B602 shell"]
    assert list(holes.unexplained(found, {"B602 core/a.py": "it is said why"})) == []
    (stale,) = holes.unexplained([], {"B602 core/a.py": "it is said why"})
    assert "is not found any more" in stale


HOLE = {"id": "CVE-1", "aliases": ["GHSA-1"], "fix_versions": ["2.0"]}


def test_a_known_hole_is_a_fault_unless_it_is_said_why_not() -> None:
    told = json.dumps({"dependencies": [{"name": "a", "version": "1.0", "vulns": [HOLE]}]})
    assert list(holes.known_holes(told, "")) == ["a 1.0 has the known hole CVE-1; fixed in 2.0."]
    assert list(holes.known_holes(told, "", {"GHSA-1": "not called"})) == []


def test_where_nobody_can_be_asked_that_is_said_loudly_and_is_no_fault(
    capsys: pytest.CaptureFixture[str],
) -> None:
    skipped = {"name": "a", "skip_reason": "Dependency not found on PyPI"}
    told = json.dumps({"dependencies": [skipped, {"name": "b", "version": "1", "vulns": []}]})
    assert list(holes.known_holes(told, "")) == []
    assert "1 OF 2 PACKAGES WERE NOT AUDITED FOR KNOWN HOLES (a)" in capsys.readouterr().err
    assert list(holes.known_holes("", "ConnectionError: [Errno 111]")) == []
    assert "NO PACKAGE WAS AUDITED" in capsys.readouterr().err
    assert list(holes.known_holes("", "no such option")) == ["pip-audit failed: no such option"]


def test_the_bill_of_materials_names_what_is_shipped_and_nothing_else() -> None:
    told = json.loads(bill.bill())
    assert told["bomFormat"] == "CycloneDX"
    named = {one["name"]: one for one in told["components"]}
    assert {"streamlit", "sqlalchemy", "psycopg-binary", "pyrage"} <= set(named)
    assert not {"pytest", "mypy", "bandit", "playwright"} & set(named)
    assert named["streamlit"]["purl"] == f"pkg:pypi/streamlit@{named['streamlit']['version']}"
    assert named["streamlit"]["licenses"]
