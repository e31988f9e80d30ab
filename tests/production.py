"""A server in production: what it does not start without, and a certificate of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SAFE = {
    "CRYPTOSATX_ENV": "production",
    "CRYPTOSATX_URL": "https://localhost",
    "CRYPTOSATX_ALLOWED_HOSTS": "localhost,127.0.0.1",
    "CRYPTOSATX_TRUSTED_PROXIES": "none",
    "CRYPTOSATX_BACKUP_TO": "off",
}


def speaking_https(folder: Path) -> dict[str, str]:
    """The environment of a server in production that speaks HTTPS itself, with its files in a folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    shown, kept = folder / "certificate.pem", folder / "key.pem"
    shown.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    kept.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return {
        **SAFE,
        "STREAMLIT_SERVER_SSL_CERT_FILE": str(shown),
        "STREAMLIT_SERVER_SSL_KEY_FILE": str(kept),
    }
