"""OpenSSH public keys, read for what they are: the blob decides, not the word in front of it."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from orchestrator.errors import N_, InvalidInput, Text

# What OpenSSH 9 still accepts by default and hardware keys; DSA and certificates are left out.
TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
RSA_BITS = (2048, 16384)  # NIST SP 800-131A for the least; OpenSSH refuses more
LENGTH = 8192  # characters of one line


def read(line: str) -> str:
    """`type blob [comment]` of one public key, blanks tidied; raises `invalid_ssh_key` (never repeating the key)."""
    if "PRIVATE KEY" in line:
        raise _refusal(
            N_("C’est une clé privée : elle ne doit jamais quitter votre poste."),
            N_("Donnez le fichier en .pub, et remplacez cette clé si elle a été vue."),
        )
    kind, *rest = line.split(None, 2)[:3] if line.strip() else [""]
    if kind not in TYPES or not rest:
        raise _refusal(
            N_("Ce n’est pas une clé publique OpenSSH."),
            Text("Elle commence par {one} ou {other}.", one=TYPES[0], other=TYPES[1]),
        )
    if not line.strip().isprintable() or len(line) > LENGTH:
        raise _refusal(N_("La clé doit tenir sur une seule ligne."), N_("Donnez une clé par ligne, sans options."))
    try:
        public = load_ssh_public_key(f"{kind} {rest[0]}".encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refusal(
            Text("La clé annoncée {kind} est abîmée ou d’un autre type.", kind=kind), N_("Copiez-la entière.")
        ) from error
    if isinstance(public, RSAPublicKey) and not RSA_BITS[0] <= public.key_size <= RSA_BITS[1]:
        raise _refusal(
            Text("La clé RSA fait {bits} bits ; il en faut au moins {least}.", bits=public.key_size, least=RSA_BITS[0]),
            N_("Créez-en une : ssh-keygen -t ed25519"),
        )
    return " ".join([kind, *(part.strip() for part in rest)])


def _refusal(sentence: str, action: str) -> InvalidInput:
    return InvalidInput("invalid_ssh_key", sentence, action)
