"""Colours that an installation chooses: their contrast by WCAG 2.1, and shades of them."""

from __future__ import annotations

import re

READABLE = 4.5  # WCAG 2.1, 1.4.3: text against its ground
WHITE = "#ffffff"


def contrast(one: str, other: str = WHITE) -> float:
    """The contrast of two colours (#rrggbb), from 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def readable(colour: str) -> str:
    """`colour` in lower case, when white text on it can be read; a ValueError that says why not otherwise."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        raise ValueError(f"{colour} is no colour: write it as #rrggbb")
    found = contrast(colour)
    if found < READABLE:
        raise ValueError(f"white text on {colour} has a contrast of {found:.2f}; choose a darker colour (4.5 or more)")
    return colour.lower()


def darker(colour: str, share: float = 0.78) -> str:
    """A darker shade, for what is hovered."""
    return "#" + "".join(f"{round(part * share):02x}" for part in parts(colour))


def parts(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    shares = [part / 255 for part in parts(colour)]
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
