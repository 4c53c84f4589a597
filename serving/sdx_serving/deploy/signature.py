"""Who wrote a bundle: Ed25519 (RFC 8032) over the bytes of manifest.json, which names every other file by its hash.

The signature file holds the 64 bytes alone, so that `openssl pkeyutl -verify -rawin` checks it as well. Start at sign() and check().
"""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from sdx_serving.deploy.manifest import BundleError

if TYPE_CHECKING:  # 30 ms and 10 MB, wanted only where something is signed or checked
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def keygen(path: Path) -> Path:
    """Write a new private key to `path`, readable by its owner alone, and the public one beside it. Returns the latter's path.

    Raises:
        BundleError: one of the files is there already; a key is never overwritten.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public_path = path.with_name(f"{path.name}.pub")
    if taken := [str(file) for file in (path, public_path) if file.exists()]:
        raise BundleError(f"{' and '.join(taken)}: there already; a key is never overwritten: choose another name")
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(private)
    public_path.write_bytes(public)
    return public_path


def signer(key_file: Path) -> str:
    """Fingerprint of the private key's public half."""
    return _fingerprint(_private(key_file).public_key())


def sign(content: bytes, key_file: Path) -> bytes:
    """64 bytes. BundleError when the file holds no Ed25519 key."""
    return _private(key_file).sign(content)


def check(content: bytes, signature: bytes, public_file: Path, signed_by: str = "") -> str | None:
    """None when `signature` is the key's over `content`, else the reason, for people.

    Args:
        signed_by: fingerprint that the manifest names, to tell a foreign key from a changed manifest.

    Raises:
        BundleError: `public_file` holds no Ed25519 public key.
    """
    from cryptography.exceptions import InvalidSignature

    key = _public(public_file)
    try:
        key.verify(signature, content)
    except InvalidSignature:
        mine = _fingerprint(key)
        if signed_by and signed_by != mine:
            return f"signed by another key ({signed_by[:16]}), not by {public_file} ({mine[:16]}): do not use it, or take its writer's key"
        return f"the signature is not that of {public_file}: the manifest was changed after it was signed; fetch the bundle again"
    return None


def _fingerprint(key: "Ed25519PublicKey") -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def _private(path: Path) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise BundleError(f"{path} is no private key ({error}): make one with `sdx deploy keygen FILE`") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BundleError(f"{path} is not an Ed25519 key: make one with `sdx deploy keygen FILE`")
    return key


def _public(path: Path) -> "Ed25519PublicKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} is no public key ({error}): give the FILE.pub that `sdx deploy keygen` wrote") from error
    if not isinstance(key, Ed25519PublicKey):
        raise BundleError(f"{path} is not an Ed25519 public key: give the FILE.pub that `sdx deploy keygen` wrote")
    return key
