"""The bill of materials of what is shipped, in CycloneDX's JSON: `make sbom`.

What is shipped is what requirements.txt names and all that it brings, at the versions of the lock.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot5
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


def shipped() -> dict[str, str]:
    """Every package that the image holds, with its version."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", lock, re.M))
    named = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    waiting = [line.split("#")[0].strip() for line in named]
    found: dict[str, str] = {}
    asked: set[str] = set()
    todo = [Requirement(line) for line in waiting if line]
    while todo:
        one = todo.pop()
        name = canonicalize_name(one.name)
        if str(one) in asked or name not in locked:
            continue
        asked.add(str(one))
        found[name] = locked[name]
        todo += _needed(name, one.extras)
    return dict(sorted(found.items()))


def _needed(name: str, extras: set[str]) -> Iterator[Requirement]:
    for text in metadata.requires(name) or ():
        one = Requirement(text)
        if one.marker is None or any(one.marker.evaluate({"extra": e}) for e in ("", *extras)):
            yield one


def bill() -> str:
    """The bill as text."""
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert version is not None
    bom = Bom()
    bom.metadata.component = product = Component(
        name="cryptosatx", version=version[1], type=ComponentType.APPLICATION, bom_ref="cryptosatx"
    )
    components = [_component(name, version) for name, version in shipped().items()]
    bom.components.update(components)
    bom.register_dependency(product, components)
    return str(JsonV1Dot5(bom).output_as_string(indent=2)) + "\n"


def _component(name: str, version: str) -> Component:
    about = metadata.metadata(name)
    licence = about.get("License-Expression") or about.get("License") or ""
    known = LicenseFactory().make_from_string(licence.splitlines()[0][:100]) if licence else None
    home = about.get("Home-page")
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{name}=={version}",
        purl=PackageURL("pypi", name=name, version=version),
        licenses=[known] if known else None,
        external_references=[ExternalReference(type=ExternalReferenceType.WEBSITE, url=XsUri(home))]
        if home
        else None,
    )


if __name__ == "__main__":
    sys.stdout.write(bill())
