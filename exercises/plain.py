"""Hints and formulas for a terminal: the LaTeX that the pages use, as plain Unicode.

`\\tfrac12 \\sum_j \\mu_j^2` becomes `½ Σⱼ μⱼ²`. The converter knows the commands that the hints use; a test prints all of them.
"""

import re

END = "\u2063"  # ends the name of a command whose argument has been put in its place
WIDE = "\u2003"
SYMBOLS = {
    "mu": "μ",
    "sigma": "σ",
    "omega": "ω",
    "beta": "β",
    "lambda": "λ",
    "gamma": "γ",
    "varepsilon": "ε",
    "epsilon": "ε",
    "theta": "θ",
    "phi": "φ",
    "Phi": "Φ",
    "pi": "π",
    "Sigma": "Σ",
    "sum": "Σ",
    "prod": "Π",
    "int": "∫",
    "infty": "∞",
    "nabla": "∇",
    "partial": "∂",
    "cdot": "·",
    "times": "×",
    "odot": "⊙",
    "le": "≤",
    "leq": "≤",
    "ge": "≥",
    "geq": "≥",
    "ne": "≠",
    "approx": "≈",
    "sim": "~",
    "to": "→",
    "quad": WIDE,
    "qquad": WIDE * 2,
    "log": "log",
    "exp": "exp",
    "sin": "sin",
    "cos": "cos",
    "min": "min",
    "max": "max",
    "arg": "arg ",
    "bmod": " mod ",
    "mid": "|",
    "Vert": "‖",
    "lVert": "‖",
    "rVert": "‖",
    "vert": "|",
    "dots": "...",
    "ldots": "...",
    "Longrightarrow": "⟹",
    "Rightarrow": "⇒",
    "lfloor": "⌊",
    "rfloor": "⌋",
    "left": "",
    "right": "",
    "big": "",
    "Big": "",
    "bigl": "",
    "bigr": "",
    "in": "∈",
    "ell": "ℓ",
    "prime": "'",
    "ast": "*",
    "pm": "±",
    "mathrm": "",
    "text": "",
    "mathcal": "",
    "mathbb": "",
    "mathbf": "",
    "mathit": "",
    "operatorname": "",
    "displaystyle": "",
    "mathrel": "",
}
SUBSCRIPTS = dict(zip("0123456789aehijklmnoprstuvx+-=()", "₀₁₂₃₄₅₆₇₈₉ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ₊₋₌₍₎", strict=True))
SUPERSCRIPTS = dict(zip("0123456789abcdefghijklmnoprstuvwxyzT+-=()", "⁰¹²³⁴⁵⁶⁷⁸⁹ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀ⁺⁻⁼⁽⁾", strict=True))
SPELLED = {
    r"\,": " ",
    r"\;": " ",
    r"\ ": " ",
    r"\!": "",
    r"\\": "\n",
    r"\{": "⦃",
    r"\}": "⦄",
    r"\_": "⎵",
    r"\|": "‖",
    r"\%": "%",
    "~": " ",
}
FONTS = ("text", "mathrm", "mathcal", "mathbb", "mathbf", "mathit", "mathrel", "operatorname")
FRACTIONS = {("1", "2"): "½", ("1", "3"): "⅓", ("1", "4"): "¼", ("3", "4"): "¾"}
ACCENTS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303"}
GROUP = r"\{((?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*)\}"
ARGUMENT = rf"(?:{GROUP}|\s*(\\[A-Za-z]+|[^\s{{}}\\]))"


def text(markdown: str) -> str:
    """A hint as a terminal shows it: formulas in Unicode, no backticks around code, no markdown emphasis."""
    markdown = re.sub(r"\$`(.+?)`\$", r"$\1$", markdown)  # as the Korean pages write a formula
    parts = re.split(r"(```.*?```|`[^`]*`)", markdown, flags=re.DOTALL)
    return "".join(part.strip("`") if i % 2 else _prose(part) for i, part in enumerate(parts))


def _prose(markdown: str) -> str:
    markdown = re.sub(r"\$\$?([^$]+)\$\$?", lambda m: formula(m[1]), markdown)
    markdown = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", markdown)
    return re.sub(r"(?<![\w*])\*{1,2}([^*\n]+)\*{1,2}(?![\w*])", r"\1", markdown)


def formula(latex: str) -> str:
    """One formula."""
    s = (
        _converted(latex)
        .replace(END, "")
        .replace("⎵", "_")
        .replace("⌃", "^")
        .replace("⦃", "{")
        .replace("⦄", "}")
        .replace("&", "")
    )
    s = re.sub(r"(?<=\w)(log|exp|sin|cos|min|max) ", r" \1 ", s)
    s = re.sub(r"\b(log|exp|sin|cos|min|max) \(", r"\1(", s)
    return re.sub(r" {2,}", " ", s).replace(WIDE, "  ").strip()


def _converted(latex: str) -> str:
    """A formula, or a part of one, with marks for what `formula` puts in at the end: it may be converted once more."""
    s = latex
    for spelled, written in SPELLED.items():
        s = s.replace(spelled, written)
    s = re.sub(r"\\lVert\s*", "‖", s)
    previous = None
    while previous != s:
        previous = s
        s = re.sub(rf"\\[tdc]?frac{ARGUMENT}{ARGUMENT}", lambda m: END + _fraction(m[1] or m[2], m[3] or m[4]), s)
        s = re.sub(rf"\\sqrt{ARGUMENT}", lambda m: f"{END}√({_converted(m[1] or m[2])})", s)
        s = re.sub(rf"\\overline{ARGUMENT}", lambda m: f"{END}mean({_converted(m[1] or m[2])})", s)
        s = re.sub(rf"\\underbrace{GROUP}(?:_{GROUP})?", lambda m: END + _converted(m[1]), s)
        s = re.sub(rf"\\(hat|bar|tilde){ARGUMENT}", lambda m: END + _accented(m[1], _converted(m[2] or m[3])), s)
        s = re.sub(rf"\\(?:{'|'.join(FONTS)}){GROUP}", lambda m: END + m[1], s)
    s = re.sub(r"\\([A-Za-z]+)", lambda m: _symbol(m[1]), s)
    s = re.sub(rf"([_^]){ARGUMENT}", lambda m: _script(m[1], m[2] if m[2] is not None else m[3]), s)
    return re.sub(r"[{}]", "", s)


def _symbol(name: str) -> str:
    written = SYMBOLS.get(name, name)
    return f"{written} " if name in ("log", "exp", "sin", "cos", "min", "max") else written


def _fraction(above: str, below: str) -> str:
    above, below = (_converted(part).replace(END, "").strip() for part in (above, below))
    if (above, below) in FRACTIONS:
        return FRACTIONS[above, below]
    return f"{_wrapped(above)}/{_wrapped(below)} "


def _wrapped(s: str) -> str:
    """In brackets, unless it is one number, one word or one letter with its marks."""
    return s if re.fullmatch(r"\d+|[A-Za-z]{3,}|\w[\u0300-\u036f]?[₀-ₜ²³ᵀ']*(⎵\w)?", s) else f"({s})"


def _accented(name: str, s: str) -> str:
    return s[0] + ACCENTS[name] + s[1:] if s else s


def _script(mark: str, content: str) -> str:
    table = SUBSCRIPTS if mark == "_" else SUPERSCRIPTS
    content = re.sub(r"[{}]", "", _converted(content)).replace(END, "").strip()
    if content and all(c in table for c in content):
        return "".join(table[c] for c in content)
    written = "⎵" if mark == "_" else "⌃"
    return f"{written}{content}" if re.fullmatch(r"\w+", content) else f"{written}({content})"
