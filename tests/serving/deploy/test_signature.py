"""Keys and signatures: ours are Ed25519 that OpenSSL takes too, and nothing else counts."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from sdx_serving.deploy.manifest import BundleError
from sdx_serving.deploy.signature import check, keygen, sign, signer

pytest.importorskip("cryptography")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    keygen(tmp_path / "a.key")
    return tmp_path / "a.key"


def test_the_private_key_is_its_owners_and_never_overwritten(key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    with pytest.raises(BundleError, match="never overwritten"):
        keygen(key)
    assert key.read_bytes() == before


def test_a_signature_holds_for_its_bytes_and_key_alone(key: Path, tmp_path: Path) -> None:
    public, other = Path(f"{key}.pub"), keygen(tmp_path / "b.key")
    signature = sign(b"content", key)
    assert len(signature) == 64 and check(b"content", signature, public) is None
    assert "changed after it was signed" in (check(b"Content", signature, public, signer(key)) or "")
    assert "changed after" in (check(b"content", bytes([signature[0] ^ 1]) + signature[1:], public) or "")
    assert "changed after" in (check(b"content", b"", public) or "")
    assert "signed by another key" in (check(b"content", signature, other, signer(key)) or "")


def test_what_is_no_key_is_named(key: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no key")
    with pytest.raises(BundleError, match="text is no private key"):
        sign(b"", tmp_path / "text")
    with pytest.raises(BundleError, match="text is no public key"):
        check(b"", b"", tmp_path / "text")
    with pytest.raises(BundleError, match="is no public key"):
        check(b"", b"", key)


def test_openssl_agrees(key: Path, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on the PATH")
    (tmp_path / "content").write_bytes(b"content")
    (tmp_path / "signature").write_bytes(sign(b"content", key))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", f"{key}.pub", "-rawin", "-in", "content", "-sigfile", "signature"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (tmp_path / "content").write_bytes(b"contemt")
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode != 0
